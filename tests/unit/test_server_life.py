"""The life of a server: in order, and nothing of it stops unseen."""

from __future__ import annotations

import asyncio

import pytest

from voxfleet import server_life
from voxfleet.errors import StartError
from voxfleet.pool_contract import FleetControl
from voxfleet.server_life import Reloads, live


class Told:
    """A server that notes what it and its service are asked."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stopped = asyncio.Event()
        self.fault: StartError | None = None
        self.follows = 0

    async def serve(self) -> None:
        await self.stopped.wait()
        self.said.append("served")

    def stop(self) -> None:
        self.stopped.set()


class Service:
    def __init__(self, told: Told) -> None:
        self._told = told

    @property
    def fleet(self) -> FleetControl:
        raise NotImplementedError

    async def start(self) -> None:
        if self._told.fault:
            raise self._told.fault
        self._told.said.append("started")

    async def stop(self) -> None:
        self._told.said.append("service stopped")


class Watch:
    def __init__(self, told: Told) -> None:
        self._told = told

    async def follow(self) -> None:
        self._told.follows += 1
        if self._told.follows == 1:
            raise RuntimeError("can't start new thread")
        self._told.stop()
        await asyncio.Event().wait()


async def test_what_is_stopped_last_was_started_first() -> None:
    told = Told()

    def ready() -> None:
        told.said.append("ready")
        told.stop()

    await live(told, Service(told), [], ready)
    assert told.said == ["started", "ready", "served", "service stopped"]


async def test_a_model_that_cannot_start_ends_all() -> None:
    told = Told()
    told.fault = StartError("no such model")
    with pytest.raises(StartError, match="no such model"):
        await live(told, Service(told), [], lambda: None)
    assert told.said == ["served", "service stopped"]


async def test_a_watch_that_fails_is_begun_again_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_life, "_BEGIN_AGAIN_S", 0)
    told = Told()
    await live(told, Service(told), [Watch(told)], lambda: None)
    assert told.follows == 2
    assert "Watch failed and is begun again" in caplog.text
    assert "can't start new thread" in caplog.text


async def test_reloads_end_with_the_server() -> None:
    reloads = Reloads(Service(Told()))
    following = asyncio.create_task(reloads.follow())
    await asyncio.sleep(0)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
