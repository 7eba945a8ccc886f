"""Where a job's file is read: in its own place, if it really lies in an allowed folder."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.webhook_receiver import receiving
from voxfleet.errors import (
    NotFoundError,
    OverloadError,
    ParameterError,
    PermissionDeniedError,
    RequestError,
    VoxfleetError,
)
from voxfleet.jobs.blob_store import BlobStore
from voxfleet.jobs.http_source import HttpSource
from voxfleet.jobs.job import FileSource
from voxfleet.jobs.object_stores import ObjectStores
from voxfleet.jobs.source_files import SourceFiles
from voxfleet.jobs.source_rules import SourceRules


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"sound")
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


class Rig:
    def __init__(self, data_dir: Path, *places: str) -> None:
        self.scratch = data_dir / "scratch"
        rules, stores = SourceRules(places), ObjectStores()
        self.blobs = BlobStore("", data_dir, stores)
        self.http = HttpSource(rules, ["127.0.0.0/8"], 5)
        self.files = SourceFiles(rules, self.blobs, stores, self.http, self.scratch, 1000)

    async def read(self, place: str, *, uploaded: bool = False) -> bytes:
        async with self.files.local(FileSource("talk.wav", place, uploaded)) as path:
            return path.read_bytes()

    async def refused(self, place: str, *, uploaded: bool = False) -> VoxfleetError:
        with pytest.raises(VoxfleetError) as raised:
            await self.read(place, uploaded=uploaded)
        return raised.value


@pytest.fixture
async def rig(tmp_path: Path, allowed: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path / "data", str(allowed))
    yield made
    await made.http.close()


async def test_a_file_is_read_where_it_lies(rig: Rig, allowed: Path) -> None:
    async with rig.files.local(FileSource("talk.wav", f"{allowed}/a.wav")) as path:
        assert path == allowed / "a.wav"
    assert (allowed / "a.wav").read_bytes() == b"sound"
    assert not rig.scratch.exists()


async def test_an_upload_is_read_where_it_lies(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "spooled").write_bytes(b"uploaded")
    await rig.blobs.put(tmp_path / "spooled", "job_1/0")
    assert await rig.read("job_1/0", uploaded=True) == b"uploaded"
    assert type(await rig.refused("job_1/1", uploaded=True)) is NotFoundError


async def test_a_file_from_elsewhere_is_there_only_so_long(tmp_path: Path) -> None:
    async with receiving(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsound") as receiver:
        rig = Rig(tmp_path, receiver.url(path="/"))
        async with rig.files.local(FileSource("talk.wav", receiver.url())) as path:
            assert path.parent == rig.scratch
            assert path.read_bytes() == b"sound"
        await rig.http.close()
    assert list(rig.scratch.iterdir()) == []


async def test_a_fault_of_the_reader_takes_the_copy_along(tmp_path: Path) -> None:
    async with receiving(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsound") as receiver:
        rig = Rig(tmp_path, receiver.url(path="/"))
        with pytest.raises(ZeroDivisionError):
            async with rig.files.local(FileSource("talk.wav", receiver.url())):
                raise ZeroDivisionError
        await rig.http.close()
    assert list(rig.scratch.iterdir()) == []


async def test_links_inside_are_followed(rig: Rig, allowed: Path) -> None:
    (allowed / "sub").mkdir()
    (allowed / "link.wav").symlink_to("a.wav")
    (allowed / "sub" / "up").symlink_to("..")
    assert await rig.read(f"{allowed}/link.wav") == b"sound"
    assert await rig.read(f"{allowed}/sub/up/sub/up/a.wav") == b"sound"


async def test_an_allowed_folder_may_be_a_link(tmp_path: Path, allowed: Path) -> None:
    (tmp_path / "link").symlink_to(allowed)
    rig = Rig(tmp_path / "data", f"{tmp_path}/link")
    assert await rig.read(f"{tmp_path}/link/a.wav") == b"sound"


async def test_a_single_file_may_be_allowed(tmp_path: Path, allowed: Path) -> None:
    (allowed / "b.wav").write_bytes(b"other")
    rig = Rig(tmp_path / "data", f"{allowed}/a.wav")
    assert await rig.read(f"{allowed}/a.wav") == b"sound"
    assert type(await rig.refused(f"{allowed}/b.wav")) is ParameterError


@pytest.mark.parametrize("target", ["../secret", "..", "/etc/passwd", "/nothing/there", "/proc"])
@pytest.mark.parametrize("below", ["", "/passwd"])
async def test_links_that_lead_out_are_refused_and_tell_nothing(
    rig: Rig, allowed: Path, target: str, below: str
) -> None:
    """What is there and what is not: the same answer."""
    (allowed / "link").symlink_to(target)
    fault = await rig.refused(f"{allowed}/link{below}")
    expected = await rig.refused("/somewhere/else")
    assert type(fault) is ParameterError
    assert fault.message.replace(f"{allowed}/link{below}", "/somewhere/else") == expected.message


@pytest.mark.parametrize("swapped", ["file", "folder"])
async def test_a_link_that_is_swapped_in_leads_nowhere(
    rig: Rig, allowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """After the path was resolved, before it is opened."""
    (allowed / "sub").mkdir()
    (allowed / "sub" / "secret").write_bytes(b"sound")
    resolve = os.path.realpath

    def slow(path: str) -> str:
        resolved = resolve(path)
        if path.endswith("secret") and not (allowed / "old").exists():
            place = allowed / "sub" / "secret" if swapped == "file" else allowed / "sub"
            place.rename(allowed / "old")
            place.symlink_to(tmp_path / "secret" if swapped == "file" else tmp_path)
        return resolved

    monkeypatch.setattr(os.path, "realpath", slow)
    fault = await rig.refused(f"{allowed}/sub/secret")
    assert isinstance(fault, RequestError)
    assert not fault.retryable


async def test_what_is_missing_stays_missing(rig: Rig, allowed: Path) -> None:
    for place in (f"{allowed}/b.wav", f"{allowed}/sub/b.wav", f"{allowed}/a.wav/b.wav"):
        fault = await rig.refused(place)
        assert (type(fault), fault.retryable) == (NotFoundError, False)
        assert fault.message.startswith("talk.wav: ")
        assert str(allowed) not in fault.message


async def test_a_folder_that_is_not_mounted_may_be_later(tmp_path: Path, allowed: Path) -> None:
    rig = Rig(tmp_path / "data", f"{tmp_path}/mount")
    fault = await rig.refused(f"{tmp_path}/mount/a.wav")
    assert (type(fault), fault.retryable) == (OverloadError, True)


async def test_only_plain_files_are_opened(rig: Rig, allowed: Path) -> None:
    os.mkfifo(allowed / "pipe")
    (allowed / "folder").mkdir()
    (allowed / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(allowed / "socket"))
    for name in ("pipe", "folder", "socket", "loop", ""):
        fault = await rig.refused(f"{allowed}/{name}")
        assert isinstance(fault, RequestError)
        assert not fault.retryable


async def test_a_device_is_not_opened(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "/dev")
    assert "plain file" in (await rig.refused("/dev/zero")).message


async def test_a_name_that_is_too_long_is_refused(rig: Rig, allowed: Path) -> None:
    assert isinstance(await rig.refused(f"{allowed}/{'a' * 300}"), RequestError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_of_others_is_refused(rig: Rig, allowed: Path) -> None:
    (allowed / "a.wav").chmod(0)
    assert type(await rig.refused(f"{allowed}/a.wav")) is PermissionDeniedError


async def test_a_place_that_is_allowed_no_more_is_refused(tmp_path: Path, allowed: Path) -> None:
    """The job was made before the setting changed."""
    rig = Rig(tmp_path / "data", str(tmp_path / "other"))
    assert type(await rig.refused(f"{allowed}/a.wav")) is ParameterError
