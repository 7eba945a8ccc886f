"""The hub and a child's end on real sockets: who may open them, and folders of any length."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
import uvloop

from tests.integration.media_rig import LIMIT_S
from voxfleet.errors import StartError
from voxfleet.wire.channel import BEAT_SUFFIX, BeatDial, Dial, GarbledMessageError, Hub
from voxfleet.wire.messages import Heartbeat, MediaReady, Stop


async def converse(hub: Hub) -> None:
    """One message each way."""
    dial = Dial(hub.address, "child")
    try:
        dial.send(MediaReady())
        assert await asyncio.wait_for(hub.receive(), LIMIT_S) == ("child", MediaReady())
        assert await hub.send("child", Stop())
        assert await asyncio.to_thread(dial.receive, LIMIT_S) == Stop()
    finally:
        dial.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_socket_is_its_owners_alone_and_goes_with_the_hub(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.write_text("left by a process that was killed")
    hub = Hub(path)
    assert mode(path) == 0o600
    await converse(hub)
    hub.close()
    assert not path.exists()


@pytest.mark.parametrize("letter", ["x", "é"])
async def test_a_folder_too_long_for_a_socket_does_not_matter(tmp_path: Path, letter: str) -> None:
    hub = Hub(tmp_path / (letter * 100) / (letter * 100) / "workers")
    path = Path(hub.address.removeprefix("ipc://"))
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    await converse(hub)
    hub.close()
    assert not path.parent.exists()


async def test_a_folder_that_takes_no_socket_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for parent in ("missing", "file"):
        with pytest.raises(StartError, match="socket: no socket can be made there"):
            Hub(tmp_path / parent / "socket")


async def test_a_hub_that_cannot_be_made_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(StartError):
        Hub(tmp_path / "missing" / "socket")
    before = open_files()
    for _ in range(5):
        with pytest.raises(StartError):
            Hub(tmp_path / "missing" / "socket")
    assert open_files() == before


async def test_a_closed_hub_leaves_nothing_open_and_nothing_watched(tmp_path: Path) -> None:
    before = open_files()
    for _ in range(3):
        # a descriptor that the loop still watched would be the next hub's
        hub = Hub(tmp_path / "socket")
        await converse(hub)
        hub.close()
    assert open_files() == before


async def test_who_waits_while_the_hub_closes_is_cancelled(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "socket")
    waiting = asyncio.create_task(hub.receive())
    await asyncio.sleep(0)
    hub.close()
    await asyncio.wait({waiting}, timeout=LIMIT_S)
    assert waiting.cancelled()


async def test_who_stops_waiting_takes_no_message_along(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "socket")
    dial = Dial(hub.address, "child")
    try:
        gone = asyncio.create_task(hub.receive())
        await asyncio.sleep(0)
        dial.send(MediaReady())
        gone.cancel()
        assert await asyncio.wait_for(hub.receive(), LIMIT_S) == ("child", MediaReady())
    finally:
        dial.close()
        hub.close()


async def test_nobody_is_told_of_a_child_that_is_not_there(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "socket")
    assert not await hub.send("nobody", Stop())
    assert not hub.post("nobody", Stop())
    hub.close()


async def test_every_message_arrives_in_order_while_others_are_sent(tmp_path: Path) -> None:
    """Sending takes the socket's one sign that something has come; it must be looked for then."""
    hub = Hub(tmp_path / "socket")
    dial = Dial(hub.address, "child")
    try:
        dial.send(MediaReady())
        await asyncio.wait_for(hub.receive(), LIMIT_S)
        for number in range(1, 500):
            dial.send(Heartbeat(number))
            assert hub.post("child", Stop())
            assert await asyncio.to_thread(dial.receive, LIMIT_S) == Stop()
            heard = await asyncio.wait_for(hub.receive(), LIMIT_S)
            assert heard == ("child", Heartbeat(number))
    finally:
        dial.close()
        hub.close()


def test_the_hub_works_on_the_servers_loop_too(tmp_path: Path) -> None:
    async def meet() -> None:
        hub = Hub(tmp_path / "socket")
        await converse(hub)
        waiting = asyncio.create_task(hub.receive())
        await asyncio.sleep(0)
        hub.close()
        await asyncio.wait({waiting}, timeout=LIMIT_S)
        assert waiting.cancelled()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(3):
            runner.run(meet())


async def test_a_flood_arrives_whole(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "socket")
    dial = Dial(hub.address, "child")
    try:
        for number in range(10_000):
            dial.send(Heartbeat(number))
        heard = [await asyncio.wait_for(hub.receive(), LIMIT_S) for _ in range(10_000)]
    finally:
        dial.close()
        hub.close()
    assert heard == [("child", Heartbeat(number)) for number in range(10_000)]


async def test_a_beat_comes_under_the_childs_own_name(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "socket")
    dial, beats = Dial(hub.address, "child"), BeatDial(hub.address, "child")
    try:
        beats.send(Heartbeat(7))
        assert await asyncio.wait_for(hub.receive(), LIMIT_S) == ("child", Heartbeat(7))
        dial.send(MediaReady())
        assert await asyncio.wait_for(hub.receive(), LIMIT_S) == ("child", MediaReady())
        # what is sent to the child never goes to its other socket
        assert await hub.send("child", Stop())
        assert await asyncio.to_thread(dial.receive, LIMIT_S) == Stop()
    finally:
        beats.close()
        dial.close()
        hub.close()


async def test_nothing_but_beats_is_taken_from_a_second_socket(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "socket")
    impostor = Dial(hub.address, "child" + BEAT_SUFFIX)
    try:
        impostor.send(MediaReady())
        with pytest.raises(GarbledMessageError, match="MediaReady is no heartbeat") as garbled:
            await asyncio.wait_for(hub.receive(), LIMIT_S)
        assert garbled.value.child == "child"
    finally:
        impostor.close()
        hub.close()


def test_beats_that_nobody_takes_hold_nobody_up(tmp_path: Path) -> None:
    beats = BeatDial(f"ipc://{tmp_path / 'nobody'}", "child")
    for count in range(5_000):
        beats.send(Heartbeat(count))
    beats.close()


async def test_what_is_said_together_arrives_one_by_one(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "socket")
    dial = Dial(hub.address, "child")
    try:
        dial.send()
        dial.send(Heartbeat(1), MediaReady(), Heartbeat(2))
        heard = [await asyncio.wait_for(hub.receive(), LIMIT_S) for _ in range(3)]
        assert heard == [("child", Heartbeat(1)), ("child", MediaReady()), ("child", Heartbeat(2))]
        dial._socket.send_multipart([b"nonsense", b"\x00"])
        dial.send(Heartbeat(3))
        with pytest.raises(GarbledMessageError) as garbled:
            await asyncio.wait_for(hub.receive(), LIMIT_S)
        assert garbled.value.child == "child"
        assert await asyncio.wait_for(hub.receive(), LIMIT_S) == ("child", Heartbeat(3))
    finally:
        dial.close()
        hub.close()
