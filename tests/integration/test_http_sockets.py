"""Clients that send too much, too little or leave, on real sockets: answers seen, nothing left."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.standin_service import StandInService, served
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app

TRANSCRIBE = "/v1/audio/transcriptions"
HEAD = f"POST {TRANSCRIBE} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
PART = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
CURL = shutil.which("curl")


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def address(service: StandInService, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("voxfleet.gateway.uploads.UPLOAD_WINDOW_S", 0.5)
    app = create_app(service, GatewaySettings(spool, "9.9", max_upload_mb=2))
    with served(app) as url:
        yield url


def connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def answer(connection: socket.socket) -> str:
    """Everything until the server closes."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces).decode()


def wait_until_empty(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while folder.exists() and list(folder.iterdir()):
        assert time.monotonic() < deadline, "an upload was left behind"
        time.sleep(0.01)


def test_a_raw_sender_of_too_much_sees_the_answer(address: str, spool: Path) -> None:
    with connected(address) as connection:
        connection.sendall(f"{HEAD}Content-Length: 50000000\r\n\r\n".encode())
        for _ in range(50):
            connection.sendall(bytes(1_000_000))
        said = answer(connection)
    assert said.startswith("HTTP/1.1 413 ")
    assert "connection: close" in said.lower()
    assert "server.max_upload_mb" in said


def test_who_waits_for_continue_is_refused_without_sending(address: str) -> None:
    with connected(address) as connection:
        connection.sendall(
            f"{HEAD}Content-Length: 50000000\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        said = answer(connection)
    assert said.startswith("HTTP/1.1 413 ")


def test_who_says_no_length_is_stopped_at_the_limit(address: str, spool: Path) -> None:
    def sound() -> Iterator[bytes]:
        yield PART.encode()
        for _ in range(40):
            yield bytes(1_000_000)

    response = httpx.post(
        address + TRANSCRIBE,
        content=sound(),
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert response.status_code == 413
    wait_until_empty(spool)


def test_a_long_body_to_a_wrong_route_or_form_sees_its_answer(address: str) -> None:
    big = bytes(20_000_000)
    assert httpx.post(f"{address}/nowhere", content=big).status_code == 404
    assert httpx.put(f"{address}/asr", content=big).status_code == 405
    assert httpx.post(address + TRANSCRIBE, content=big).status_code == 400


def test_a_connection_serves_on_after_answers(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        for _ in range(3):
            assert client.post(TRANSCRIBE, files={"file": ("a.wav", b"x")}).status_code == 200
            assert "connection" not in client.get("/health").headers


def test_a_body_cut_off_leaves_nothing(address: str, service: StandInService, spool: Path) -> None:
    with connected(address) as connection:
        connection.sendall(f"{HEAD}Content-Length: 1900000\r\n\r\n{PART}".encode())
        connection.sendall(bytes(1_500_000))
        wait_for_upload(spool)
    wait_until_empty(spool)
    assert service.asked == []


def wait_for_upload(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while not (folder.exists() and list(folder.iterdir())):
        assert time.monotonic() < deadline, "no upload began"
        time.sleep(0.01)


def test_a_stalled_upload_is_ended(address: str, spool: Path) -> None:
    with connected(address) as connection:
        connection.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n{PART}".encode())
        connection.settimeout(15)
        said = connection.recv(65536).decode()
    assert said.startswith("HTTP/1.1 504 ")
    assert "x-should-retry" in said
    wait_until_empty(spool)


def test_an_upload_that_trickles_is_ended(
    address: str, service: StandInService, spool: Path
) -> None:
    with connected(address) as connection:
        connection.sendall(f"{HEAD}Content-Length: 1000000\r\n\r\n{PART}".encode())
        connection.settimeout(0.05)
        said, deadline = b"", time.monotonic() + 10
        while not said:
            assert time.monotonic() < deadline, "a byte now and then held its place"
            connection.sendall(b"x")
            with suppress(TimeoutError):
                said = connection.recv(65536)
    assert said.startswith(b"HTTP/1.1 504 ")
    wait_until_empty(spool)
    assert service.places == 0


def test_who_leaves_during_the_work_cancels_it(
    address: str, service: StandInService, spool: Path
) -> None:
    service.hold = True
    body = f"{PART}sound\r\n--b--\r\n"
    with connected(address) as connection:
        connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        wait_for_upload(spool)
        assert not service.cancelled.wait(0.3)
    assert service.cancelled.wait(10)
    wait_until_empty(spool)


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("size", [5_000_000, 100])
def test_curl(address: str, tmp_path: Path, size: int) -> None:
    sound = tmp_path / "sound.wav"
    sound.write_bytes(bytes(size))
    command = [
        str(CURL),
        "-sS",
        "-w",
        " %{http_code}",
        "-F",
        f"file=@{sound}",
        address + TRANSCRIBE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" 413" if size > 2_000_000 else " 200")
