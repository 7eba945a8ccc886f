"""How many requests begin in a turn of the event loop, in which order, and who never waits."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from voxfleet.gateway.paced_starts import PacedStarts


class Rig:
    """Notes which request began in which turn."""

    def __init__(self, per_turn: int = 2) -> None:
        self.now = 0
        self.began: list[tuple[str, int]] = []
        self.sent: dict[str, list[Message]] = {}
        self._app = PacedStarts(self._note, at_once=("/health", "/livez"), per_turn=per_turn)

    async def _note(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began.append((scope["path"], self.now))

    def ask(self, path: str, root_path: str = "", kind: str = "http") -> asyncio.Task[None]:
        async def nothing() -> Message:
            raise AssertionError("nobody reads")

        async def send(message: Message) -> None:
            self.sent.setdefault(path, []).append(message)

        scope: Scope = {"type": kind, "path": root_path + path, "root_path": root_path}

        async def run() -> None:
            await self._app(scope, nothing, send)

        return asyncio.create_task(run())

    async def turns(self, count: int) -> None:
        for _ in range(count):
            self.now += 1
            await asyncio.sleep(0)


async def test_a_crowd_begins_a_few_a_turn_in_its_order() -> None:
    rig = Rig(per_turn=2)
    for number in range(9):
        rig.ask(f"/{number}")
    await rig.turns(20)
    assert [path for path, _ in rig.began] == [f"/{number}" for number in range(9)]
    turns = [turn for _, turn in rig.began]
    assert max(turns.count(turn) for turn in turns) == 2
    # one turn after the other: nobody waits for longer than he must
    assert turns[-1] - turns[2] == 3


@pytest.mark.parametrize("root_path", ["", "/speech"])
async def test_a_probe_waits_for_nobody(root_path: str) -> None:
    rig = Rig(per_turn=1)
    for number in range(50):
        rig.ask(f"/{number}", root_path)
    await rig.turns(3)
    rig.ask("/health", root_path)
    asked = rig.now
    await rig.turns(1)
    assert rig.began[-1] == (f"{root_path}/health", asked + 1)
    assert len(rig.began) < 10


async def test_one_after_the_other_never_waits() -> None:
    rig = Rig(per_turn=1)
    for number in range(5):
        asked = rig.now
        rig.ask(f"/{number}")
        await rig.turns(1)
        assert rig.began[-1] == (f"/{number}", asked + 1)
        await rig.turns(1)


async def test_those_who_leave_the_line_take_nobodys_turn() -> None:
    rig = Rig(per_turn=1)
    tasks = [rig.ask(f"/{number}") for number in range(6)]
    await rig.turns(1)
    for task in tasks[2:5]:
        task.cancel()
    await rig.turns(3)
    assert [path for path, _ in rig.began] == ["/0", "/1", "/5"]


async def test_a_server_that_stops_tells_those_in_the_line_so() -> None:
    rig = Rig(per_turn=1)
    first, second, socket = rig.ask("/0"), rig.ask("/1"), rig.ask("/2", kind="websocket")
    await rig.turns(1)
    second.cancel()
    socket.cancel()
    await asyncio.gather(first, second, socket)
    assert [path for path, _ in rig.began] == ["/0"]
    assert rig.sent["/1"][0]["status"] == 503
    assert "/2" not in rig.sent
