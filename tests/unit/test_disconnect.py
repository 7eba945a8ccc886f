"""Work for a client that may go away: cancelled then and only then, and always seen out."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from starlette.types import Message

from voxfleet.errors import CancelledError
from voxfleet.gateway.disconnect import unless_client_leaves


class Client:
    """Says what it is told to say, as ASGI's `receive`."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[Message] = asyncio.Queue()
        self.watched = 0

    async def receive(self) -> Message:
        self.watched += 1
        try:
            return await self.said.get()
        finally:
            self.watched -= 1

    def leave(self) -> None:
        self.said.put_nowait({"type": "http.disconnect"})


class Work:
    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.state = "new"

    async def run(self) -> str:
        self.state = "runs"
        try:
            answer = await self.answer
        except asyncio.CancelledError:
            # as whoever gives back what he holds
            await asyncio.sleep(0)
            self.state = "cancelled"
            raise
        self.state = "done"
        return answer


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_result_is_the_works_and_nobody_watches_on() -> None:
    client, work = Client(), Work()
    task = asyncio.create_task(unless_client_leaves(client.receive, work.run()))
    await turns()
    assert client.watched == 1
    work.answer.set_result("text")
    assert await task == "text"
    assert client.watched == 0


async def test_the_works_fault_is_raised_on() -> None:
    client, work = Client(), Work()
    work.answer.set_exception(KeyError("fault"))
    with pytest.raises(KeyError):
        await unless_client_leaves(client.receive, work.run())
    assert client.watched == 0


async def test_who_leaves_ends_the_work_and_the_task_goes_on() -> None:
    client, work = Client(), Work()

    async def ask() -> str:
        with pytest.raises(CancelledError, match="went away"):
            await unless_client_leaves(client.receive, work.run())
        # the task itself is not cancelled any more: it can wait as before
        await asyncio.sleep(0)
        return work.state

    task = asyncio.create_task(ask())
    await turns()
    client.said.put_nowait({"type": "http.request"})
    await turns()
    assert work.state == "runs"
    client.leave()
    assert await task == "cancelled"


async def test_a_task_that_others_cancel_too_is_cancelled() -> None:
    client, work = Client(), Work()
    task = asyncio.create_task(unless_client_leaves(client.receive, work.run()))
    await turns()
    client.leave()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert (work.state, client.watched) == ("cancelled", 0)


async def test_an_answer_and_a_leave_in_one_turn_harm_nobody() -> None:
    for leaves_first in (True, False):
        client, work = Client(), Work()

        async def ask(client: Client, work: Work) -> str:
            with suppress(CancelledError):
                await unless_client_leaves(client.receive, work.run())
            await turns()
            return "goes on"

        task = asyncio.create_task(ask(client, work))
        await turns()
        if leaves_first:
            client.leave()
        work.answer.set_result("text")
        client.leave()
        assert await task == "goes on"
        assert client.watched == 0


async def test_a_watch_that_breaks_leaves_the_work_alone() -> None:
    async def broken() -> Message:
        raise RuntimeError("no connection")

    work = Work()
    task = asyncio.create_task(unless_client_leaves(broken, work.run()))
    await turns()
    work.answer.set_result("text")
    assert await task == "text"
