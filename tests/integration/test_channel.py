"""The hub and a child's end on real sockets: who may open them, and folders of any length."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from tests.integration.media_rig import LIMIT_S
from voxfleet.errors import StartError
from voxfleet.wire.channel import Dial, Hub
from voxfleet.wire.messages import MediaReady, Stop


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
