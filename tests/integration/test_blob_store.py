"""Uploaded files in a folder: whole, private, on the disk, and found when nobody needs them."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from voxfleet.errors import NotFoundError, OverloadError, StartError
from voxfleet.jobs.blob_store import BlobStore, blob_key
from voxfleet.jobs.local_blobs import LocalBlobs
from voxfleet.jobs.object_stores import ObjectStores

KEY = blob_key("job_1", 0)
_PUBLIC_FILE, _PRIVATE_FILE, _PRIVATE_FOLDER = 0o644, 0o600, 0o700


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore("", tmp_path, ObjectStores())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


def upload(folder: Path, content: bytes = b"sound", name: str = "upload") -> Path:
    path = folder / "uploads" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(_PUBLIC_FILE)
    return path


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def modes_of(*paths: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in paths]


def entries_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def aged(path: Path, changed_s: float) -> None:
    os.utime(path, (changed_s, changed_s))


async def keys_of(blobs: BlobStore, before_s: float) -> set[str]:
    return {key async for key in blobs.keys(before_s)}


async def test_an_upload_becomes_a_private_blob(
    blobs: BlobStore, root: Path, tmp_path: Path
) -> None:
    path = upload(tmp_path)
    await blobs.put(path, KEY)
    assert blobs.path_of(KEY) == root / "job_1" / "0"
    assert files_in(tmp_path) == {"blobs/job_1/0": b"sound"}
    assert modes_of(root / KEY) == [_PRIVATE_FILE]
    assert modes_of(root, root / "job_1") == [_PRIVATE_FOLDER] * 2


@pytest.mark.parametrize("prefix", ["", "file://"])
async def test_a_folder_may_be_named(tmp_path: Path, prefix: str) -> None:
    blobs = BlobStore(f"{prefix}{tmp_path}/a/b", tmp_path / "data", ObjectStores())
    await blobs.put(upload(tmp_path), KEY)
    assert files_in(tmp_path) == {"a/b/job_1/0": b"sound"}


def test_a_relative_folder_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="absolute"):
        BlobStore("blobs", tmp_path, ObjectStores())


async def test_it_is_on_the_disk_before_it_is_promised(
    blobs: BlobStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file before it gets its name, then the folders that lead to it."""
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        steps.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def noted_rename(source: str, target: str, *, src_dir_fd: int | None = None) -> None:
        steps.append("rename")
        rename(source, target, src_dir_fd=src_dir_fd)

    path = upload(tmp_path)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    await blobs.put(path, KEY)
    renamed = steps.index("rename")
    assert {str(tmp_path), str(root)} <= set(steps[:renamed])
    assert steps[renamed - 1] == str(path)
    assert str(root / "job_1") in steps[renamed:]


def _other_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def refused(source: str, target: str, *, src_dir_fd: int | None = None) -> None:
        if src_dir_fd is not None:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    monkeypatch.setattr(os, "rename", refused)


async def test_from_another_file_system_it_is_copied(
    blobs: BlobStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _other_file_system(monkeypatch)
    content = os.urandom(3_000_000)
    path = upload(tmp_path, content)
    aged(path, 1e9)
    await blobs.put(path, KEY)
    assert files_in(tmp_path) == {"blobs/job_1/0": content}
    found = (root / KEY).stat()
    assert (found.st_mode & 0o777, found.st_mtime) == (_PRIVATE_FILE, 1e9)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("copied", [False, True])
async def test_a_full_disk_leaves_the_upload_and_no_blob(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: bool, code: int
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    if copied:
        _other_file_system(monkeypatch)
        monkeypatch.setattr(shutil, "copyfileobj", full)
    else:
        monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OverloadError, match="no room"):
        await blobs.put(upload(tmp_path), KEY)
    assert files_in(tmp_path) == {"uploads/upload": b"sound"}


async def test_an_upload_that_is_gone_is_told(blobs: BlobStore, tmp_path: Path) -> None:
    path = upload(tmp_path)
    path.unlink()
    with pytest.raises(NotFoundError):
        await blobs.put(path, KEY)


async def test_a_second_put_replaces(blobs: BlobStore, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        await blobs.put(upload(tmp_path, content), KEY)
    assert files_in(tmp_path) == {"blobs/job_1/0": b"second"}


@pytest.mark.parametrize(
    "key",
    ["", "job", "job/", "/0", "../0", "job/..", "job/-1", "job/00", "a/b/0", "job/0\n", "-/0"],
)
async def test_only_keys_of_ours_are_places(blobs: BlobStore, tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        await blobs.put(upload(tmp_path), key)
    with pytest.raises(ValueError, match="no key"):
        await blobs.remove([key])
    with pytest.raises(ValueError, match="no key"):
        blobs.path_of(key)
    assert files_in(tmp_path) == {"uploads/upload": b"sound"}


async def test_what_is_removed_leaves_nothing(blobs: BlobStore, root: Path, tmp_path: Path) -> None:
    keys = [blob_key("job_1", position) for position in range(20)] + [blob_key("job_2", 0)]
    for key in keys:
        await blobs.put(upload(tmp_path), key)
    await blobs.remove(keys[1:])
    assert files_in(root) == {"job_1/0": b"sound"}
    await blobs.remove([*keys, blob_key("never", 7)])
    assert entries_in(root) == []


async def test_orphans_are_found_by_their_age(blobs: BlobStore, root: Path, tmp_path: Path) -> None:
    for key in ("old/0", "old/1", "young/0"):
        await blobs.put(upload(tmp_path), key)
        aged(root / key, 1000.0 if key.startswith("old") else 2000.0)
    for stranger in ("old/note.txt", ".hidden/0", "top"):
        (root / stranger).parent.mkdir(exist_ok=True)
        (root / stranger).write_bytes(b"")
        aged(root / stranger, 0.0)
    assert await keys_of(blobs, 1000.0) == set()
    assert await keys_of(blobs, 1500.0) == {"old/0", "old/1"}
    assert await keys_of(blobs, 3000.0) == {"old/0", "old/1", "young/0"}


async def test_many_orphans_are_all_found(blobs: BlobStore, root: Path) -> None:
    """More than are read at once."""
    for position in range(1100):
        path = root / blob_key("job", position)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert len(await keys_of(blobs, 1e12)) == 1100


async def test_what_a_killed_server_left_half_copied_goes(blobs: BlobStore, root: Path) -> None:
    part, young = root / "job_1" / ".1.part", root / "job_1" / ".2.part"
    part.parent.mkdir(parents=True)
    for path, changed_s in ((part, 1000.0), (young, 2000.0)):
        path.write_bytes(b"half")
        aged(path, changed_s)
    assert await keys_of(blobs, 1500.0) == set()
    assert list(files_in(root)) == ["job_1/.2.part"]


async def test_a_folder_that_does_not_exist_yet_holds_nothing(blobs: BlobStore) -> None:
    assert await keys_of(blobs, 1e12) == set()
    await blobs.remove([KEY])


def test_two_servers_may_put_and_remove_beside_each_other(root: Path, tmp_path: Path) -> None:
    """A job's folder that one removes, as it is empty, never takes a file of the other along."""
    faults: list[Exception] = []

    def at_work(number: int) -> None:
        store = LocalBlobs(root)
        try:
            for turn in range(300):
                key = blob_key("job", number * 1000 + turn)
                store.put(upload(tmp_path, name=f"{number}"), key)
                if turn < 299:
                    store.remove(key)
        except OSError as fault:
            faults.append(fault)

    _together(lambda: at_work(1), lambda: at_work(2))
    assert faults == []
    assert set(files_in(root)) == {"job/1299", "job/2299"}


def _together(*work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
