"""Keys on a real server: it holds its data directory, and obeys commands run beside it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.integration.server_process import serving
from tests.system.test_keys_command import keys
from voxfleet.store.database import DATABASE_NAME

FAKE = {"VOXFLEET_MODEL": "fake", "VOXFLEET_AUDIO__VAD": "energy"}
FOLLOWS_WITHIN_S = 5.0


def becomes(client: httpx.Client, key: str, status: int) -> bool:
    deadline_s = time.monotonic() + FOLLOWS_WITHIN_S
    headers = {"authorization": f"Bearer {key}"} if key else {}
    while time.monotonic() < deadline_s:
        if client.get("/v1/models", headers=headers).status_code == status:
            return True
        time.sleep(0.02)
    return False


def test_keys_come_and_go_while_it_serves(tmp_path: Path) -> None:
    with serving(tmp_path, **FAKE) as server, server.client() as client:
        assert client.get("/v1/models").status_code == 200
        key = keys(tmp_path, "add", "desk").stdout.strip()
        assert becomes(client, "", 401)
        assert becomes(client, key, 200)
        assert client.get("/v1/system", headers={"api-key": key}).status_code == 403
        assert client.get("/readyz").status_code == 200
        keys(tmp_path, "revoke", "desk")
        assert becomes(client, key, 401)
        assert key not in server.stop()


def test_after_a_restart_a_revoked_key_still_closes_the_server(tmp_path: Path) -> None:
    keys(tmp_path, "add", "desk")
    keys(tmp_path, "revoke", "desk")
    with serving(tmp_path, **FAKE) as server, server.client() as client:
        assert client.get("/v1/models").status_code == 401
        assert client.get("/health").status_code == 200


def test_a_broken_database_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"no database" * 1000)
    with (
        pytest.raises(AssertionError, match=r"ready: voxfleet: database .*not a database.*\n$"),
        serving(tmp_path, **FAKE),
    ):
        pass


def test_a_server_open_to_a_network_says_so_until_it_has_a_key(tmp_path: Path) -> None:
    everywhere = {"VOXFLEET_SERVER__HOST": ".".join("0000")}
    with serving(tmp_path, **FAKE, **everywhere) as server, server.client() as client:
        assert [line for line in server.banner if line.startswith("warning  ")]
        (warning,) = client.get("/v1/system").json()["warnings"]
        assert "keys add" in warning
        key = keys(tmp_path, "add", "desk", "--scope", "admin").stdout.strip()
        assert becomes(client, "", 401)
        system = client.get("/v1/system", headers={"api-key": key}).json()
        assert system["warnings"] == []
