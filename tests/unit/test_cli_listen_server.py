"""Addresses and refusals as `voxfleet listen` understands them."""

from __future__ import annotations

import json

import pytest

from voxfleet.cli_listen_server import Server, realtime_address, refusal
from voxfleet.errors import AuthenticationError, NotReadyError, UsageError, VoxfleetError

ROUTE = "/v1/realtime?intent=transcription"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:7860", f"ws://127.0.0.1:7860{ROUTE}"),
        ("https://asr.example/", f"wss://asr.example{ROUTE}"),
        ("ws://[::1]:80", f"ws://[::1]:80{ROUTE}"),
        ("http://host/asr", f"ws://host/asr{ROUTE}"),
        # as OpenAI's clients are told it
        ("http://host:7860/v1", f"ws://host:7860{ROUTE}"),
    ],
)
def test_addresses(url: str, address: str) -> None:
    assert realtime_address(Server(url)) == address


def test_a_model_cannot_leave_its_place_in_the_address() -> None:
    server = Server("http://host", model="a/b&intent=x 会")
    assert realtime_address(server).endswith("&model=a%2Fb%26intent%3Dx%20%E4%BC%9A")


@pytest.mark.parametrize(
    "url",
    [
        *("", "host", "host:7860", "ftp://host", "http://", "http://h:port", "http://h:99999"),
        *("http://h/?key=x", "http://h#x", "http://h/\r\nx", "http://[::1"),
    ],
)
def test_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        realtime_address(Server(url))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(401, "invalid_api_key", AuthenticationError), (503, "not_ready", NotReadyError)],
)
def test_a_refusal_of_ours_says_what_it_said(
    status: int, code: str, kind: type[VoxfleetError]
) -> None:
    body = {"error": {"message": "say why", "type": "t", "param": None, "code": code}}
    fault = refusal("http://host", status, json.dumps(body).encode())
    assert type(fault) is kind
    assert fault.message == "say why"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": "no"}', b"\xff", b"[]"])
def test_an_answer_of_another_server_says_its_status(body: bytes) -> None:
    assert "answers 404" in refusal("http://host", 404, body).message
