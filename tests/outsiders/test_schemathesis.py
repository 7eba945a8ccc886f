"""schemathesis tries everything that the OpenAPI document promises, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx

from tests.outsiders.outsider_rig import (
    SMALL_CARD,
    StrangersServer,
    new_key,
    strangers_server,
)

HERE = Path(__file__).parent
#: test cases of each operation; all together take a quarter of a minute
MAX_EXAMPLES = 100
LIMIT_S = 240


def schemathesis(location: str, *flags: str) -> str:
    """What it found wrong; empty when nothing."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(HERE / "schemathesis.toml"), "run", location, "--no-color"),
            *("--checks", "all", "--max-examples", str(MAX_EXAMPLES), *flags),
        ],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def is_unharmed(server: StrangersServer) -> None:
    server.wait_until_idle()
    assert server.left_over() == []
    assert server.faults() == []


def test_a_server_without_keys(tmp_path: Path) -> None:
    with strangers_server(tmp_path, SMALL_CARD) as server:
        found = schemathesis(f"{server.address}/openapi.json")
        assert not found, found
        is_unharmed(server)


def test_a_document_that_lies_is_found_out(tmp_path: Path) -> None:
    with strangers_server(tmp_path) as server:
        told = httpx.get(f"{server.address}/openapi.json").raise_for_status().json()
        told["components"]["schemas"]["Health"]["properties"]["version"] = {"type": "integer"}
        document = tmp_path / "openapi.json"
        document.write_text(json.dumps(told))
        found = schemathesis(str(document), "--url", server.address, "--include-path", "/health")
    assert "Response violates schema" in found


def test_a_server_with_keys(tmp_path: Path) -> None:
    key = new_key(tmp_path, "stranger", "--scope", "admin")
    with strangers_server(tmp_path, SMALL_CARD) as server:
        document = tmp_path / "openapi.json"
        document.write_text(keyed_document(server.address))
        bearer = ("--header", f"Authorization: Bearer {key}")
        found = schemathesis(str(document), "--url", server.address, *bearer)
        assert not found, found
        is_unharmed(server)


def keyed_document(address: str) -> str:
    """The document as it is true of a server that has keys: none of them may be left out.

    So schemathesis also sends requests without one, and with wrong ones, and wants them refused.
    """
    document = httpx.get(f"{address}/openapi.json").raise_for_status().json()
    document["security"] = [way for way in document["security"] if way]
    return json.dumps(document)
