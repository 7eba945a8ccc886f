"""What a stopping server does to requests that are still there when their time is over."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from voxfleet.gateway.request_edge import CrashAnswer, LingeringClose

SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/asr",
    "headers": [(b"content-length", b"1000")],
    "state": {"request_id": "r"},
}


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 400, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


async def test_an_answered_request_whose_rest_is_awaited_ends_without_a_fault() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def answer() -> None:
        await LingeringClose(refuse)(SCOPE, never, send)

    task = asyncio.create_task(answer())
    while len(sent) < 2:
        await asyncio.sleep(0)
    task.cancel()
    await task
    assert sent[-1]["type"] == "http.response.body"
    assert not sent[-1]["more_body"]


async def test_an_answer_that_is_cut_off_is_told_in_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = asyncio.Event()

    async def talk(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await asyncio.Event().wait()

    async def send(message: Message) -> None:
        pass

    async def answer() -> None:
        await CrashAnswer(talk)(SCOPE, never, send)

    task = asyncio.create_task(answer())
    await begun.wait()
    task.cancel()
    await task
    assert "cut off" in caplog.text
    assert "Traceback" not in caplog.text
