"""schemathesis tries everything that the OpenAPI document promises, against a real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
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
UPLOADS = ("/v1/audio/transcriptions", "/asr", "/recognition")
LEAST_ANSWERED = 10
#: orders that take the workers away are among the requests
MOST_BUSY_SHARE = 0.2
_ANSWERS = re.compile(r"^voxfleet_requests_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


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


def was_tried(server: StrangersServer, key: str = "") -> None:
    """Enough was answered as it should: a server that is always busy would be found clean, too."""
    bearer = {"authorization": f"Bearer {key}"} if key else {}
    page = httpx.get(f"{server.address}/metrics", headers=bearer).raise_for_status().text
    answers: Counter[tuple[str, str]] = Counter()
    for labels, count in _ANSWERS.findall(page):
        told = dict(_LABEL.findall(labels))
        answers[told["route"], told["status"]] += int(float(count))
    for route in UPLOADS:
        assert answers[route, "200"] >= LEAST_ANSWERED, (route, answers)
    busy = sum(count for (_, status), count in answers.items() if status == "503")
    assert busy < MOST_BUSY_SHARE * answers.total(), answers


def test_a_server_without_keys(tmp_path: Path) -> None:
    with strangers_server(tmp_path, SMALL_CARD) as server:
        found = schemathesis(f"{server.address}/openapi.json")
        assert not found, found
        is_unharmed(server)
        was_tried(server)


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
        was_tried(server, key)


def keyed_document(address: str) -> str:
    """The document as it is true of a server that has keys: none of them may be left out.

    So schemathesis also sends requests without one, and with wrong ones, and wants them refused.
    """
    document = httpx.get(f"{address}/openapi.json").raise_for_status().json()
    document["security"] = [way for way in document["security"] if way]
    return json.dumps(document)
