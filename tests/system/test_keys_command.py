"""`voxfleet keys` as its operator runs it: real processes, beside a server that goes on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from tests.integration.keyed_app import bearer, key_store, keyed_app
from voxfleet.store.access_key import KEY_CHARS
from voxfleet.store.database import DATABASE_NAME
from voxfleet.store.key_ring import KeyRing

COMMAND = [sys.executable, "-m", "voxfleet.cli", "keys"]


def keys(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"VOXFLEET_DATA_DIR": str(data_dir)},
    )


def listed(data_dir: Path) -> list[dict[str, object]]:
    rows = json.loads(keys(data_dir, "list", "--json").stdout)["data"]
    assert isinstance(rows, list)
    return rows


def test_a_key_from_its_making_to_its_end(tmp_path: Path) -> None:
    data_dir = tmp_path / "new"
    words = ("--scope", "jobs", "--scope", "metrics", "--requests-per-minute", "30")
    added = keys(data_dir, "add", "Büro 中", *words)
    assert added.returncode == 0
    secret = added.stdout.strip()
    assert len(secret) == KEY_CHARS
    assert "the first one: from now on every client needs a key" in added.stderr
    assert secret not in added.stderr
    (row,) = listed(data_dir)
    assert (row["name"], row["scopes"], row["requests_per_minute"], row["concurrent"]) == (
        "Büro 中",
        ["jobs", "metrics"],
        30,
        None,
    )
    table = keys(data_dir, "list").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["id", row["id"]]
    assert table[1].endswith("valid")
    assert secret not in "".join(table)
    revoked = keys(data_dir, "revoke", str(row["id"]))
    assert (revoked.returncode, revoked.stdout) == (0, "")
    assert "no key is valid now" in revoked.stderr
    assert listed(data_dir)[0]["revoked_at"] is not None
    assert (data_dir / DATABASE_NAME).stat().st_mode & 0o777 == 0o600


def test_what_is_wrong_is_one_line_and_an_exit_state(tmp_path: Path) -> None:
    keys(tmp_path, "add", "desk")
    for words in (("add", "desk"), ("revoke", "nobody"), ("add", "x", "--concurrent", "0")):
        wrong = keys(tmp_path, *words)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith("voxfleet: ")
        assert wrong.stderr.count("\n") == 1
    assert keys(tmp_path, "add", "x", "--scope", "root").returncode == 2
    (tmp_path / DATABASE_NAME).write_bytes(b"no database" * 1000)
    broken = keys(tmp_path, "list")
    assert broken.returncode == 1
    assert "file is not a database" in broken.stderr
    assert broken.stderr.count("\n") == 1


def test_the_data_directory_is_the_servers_own(tmp_path: Path) -> None:
    settings = tmp_path / "voxfleet.toml"
    settings.write_text(f'data_dir = "{tmp_path}/one"\n', encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, "add", "desk", "--config", str(settings)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    keys(tmp_path / "two", "add", "flag", "--data-dir", str(tmp_path / "one"))
    assert [row["name"] for row in listed(tmp_path / "one")] == ["desk", "flag"]
    assert not (tmp_path / "two").exists()


def test_many_at_once_on_a_directory_that_is_new(tmp_path: Path) -> None:
    """The first of them makes the tables; none of the others may come between."""
    running = [
        subprocess.Popen(
            [*COMMAND, "add", f"desk {number}", "--data-dir", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(4)
    ]
    outputs = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * 4, outputs
    assert {row["name"] for row in listed(tmp_path)} == {f"desk {n}" for n in range(4)}


async def until(holds: Callable[[], Awaitable[bool]], limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not await holds():
            await asyncio.sleep(0.02)


async def test_a_running_server_follows(tmp_path: Path) -> None:
    with key_store(tmp_path) as store:
        ring = KeyRing(store)
        following = asyncio.create_task(ring.follow())
        transport = httpx.ASGITransport(keyed_app(tmp_path, ring))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def status(key: str = "") -> int:
                headers = bearer(key) if key else {}
                return (await client.get("/v1/models", headers=headers)).status_code

            async def asks_for_a_key() -> bool:
                return await status() == 401

            async def refuses() -> bool:
                return await status(first) == 401

            assert await status() == 200
            first = (await asyncio.to_thread(keys, tmp_path, "add", "desk")).stdout.strip()
            await until(asks_for_a_key)
            assert await status(first) == 200
            await asyncio.to_thread(keys, tmp_path, "revoke", "desk")
            await until(refuses)
            # all keys are gone, and nothing is open again
            assert await status() == 401
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
