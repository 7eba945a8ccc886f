"""Limits as a client meets them: on work alone, and free again as soon as an answer has ended."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from tests.unit.access_rig import ASR, Answer, ask, bearer, guarded
from voxfleet.gateway.access import Access


async def test_limits_are_for_work_alone() -> None:
    access = guarded()
    asked = [await ask(access, *ASR, bearer("narrow")) for _ in range(3)]
    assert [answer.status for answer in asked] == [200, 200, 429]
    assert asked[2].headers[b"retry-after"] == b"30"
    assert (asked[2].error["type"], asked[2].error["code"]) == (
        "rate_limit_error",
        "rate_limit_exceeded",
    )
    assert (await ask(access, "GET", "/v1/models", bearer("narrow"))).status == 200
    assert (await ask(access, *ASR, bearer("desk"))).status == 200


class HeldApp:
    """Holds the end of its answer back until it is released, or fails."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.started = asyncio.Event()
        self.released = asyncio.Event()
        self.fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started.set()
        await self.released.wait()
        if self.fault:
            raise self.fault
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        # what is done behind an answer, such as reading the rest of a body
        await asyncio.Event().wait()


async def begin(app: HeldApp, access: Access) -> asyncio.Task[Answer]:
    task = asyncio.create_task(ask(access, *ASR, bearer("narrow")))
    await app.started.wait()
    return task


async def test_a_place_is_free_when_the_answer_has_ended() -> None:
    app = HeldApp()
    access = guarded(app)
    task = await begin(app, access)
    assert (await ask(access, *ASR, bearer("narrow"))).status == 429
    app.released.set()
    again = asyncio.create_task(ask(access, *ASR, bearer("narrow")))
    for _ in range(5):
        await asyncio.sleep(0)
    # the second one too hangs behind its answer, and was not refused
    assert not again.done()
    for hanging in (task, again):
        hanging.cancel()
    await asyncio.gather(task, again, return_exceptions=True)


@pytest.mark.parametrize("end", ["crash", "cancel"])
async def test_a_place_is_free_after_a_crash_and_when_the_client_left(end: str) -> None:
    app = HeldApp(RuntimeError("broken"))
    access = guarded(app)
    task = await begin(app, access)
    if end == "cancel":
        task.cancel()
    app.released.set()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled() == (end == "cancel")
    with pytest.raises(RuntimeError):
        await ask(access, *ASR, bearer("narrow"))
