"""Files of jobs in buckets, of S3 and of what speaks like it: read, and kept."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.s3_rig import BucketRig, set_keys
from tests.integration.s3_server import AWS, LocalS3, local_s3
from voxfleet.errors import (
    AudioTooLargeError,
    NotFoundError,
    PermissionDeniedError,
    RequestError,
    VoxfleetError,
)
from voxfleet.jobs.http_source import HttpSource
from voxfleet.jobs.job import FileSource
from voxfleet.jobs.object_stores import ObjectStores
from voxfleet.jobs.source_files import SourceFiles

SCHEMES = ("s3", "oss")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalS3]:
    with local_s3() as made:
        yield made


@pytest.fixture
def s3(server: LocalS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalS3:
    set_keys(monkeypatch, tmp_path)
    server.emptied("sounds", "kept")
    return server


@pytest.fixture
def stores(s3: LocalS3) -> Iterator[ObjectStores]:
    made = s3.stores()
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path: Path, stores: ObjectStores) -> BucketRig:
    return BucketRig(tmp_path, stores)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size_bytes", [0, 5, 20_000_001])
async def test_an_object_is_fetched_whole(
    s3: LocalS3, rig: BucketRig, scheme: str, size_bytes: int
) -> None:
    content = os.urandom(size_bytes)
    s3.put("sounds", "in/a b/会议 [1]*.wav", content)
    place = f"{scheme}://sounds/in/a b/会议 [1]*.wav"
    assert await rig.read(place, max_bytes=20_000_001) == content


async def test_what_is_missing_stays_missing(s3: LocalS3, rig: BucketRig) -> None:
    s3.put("sounds", "in/folder/a.wav", b"")
    fault = await rig.refused("s3://sounds/in/a.wav")
    assert (type(fault), fault.retryable) == (NotFoundError, False)
    fault = await rig.refused("s3://sounds/in/folder")
    assert (type(fault), fault.retryable) == (RequestError, False)


async def test_a_large_object_is_refused_before_it_comes(s3: LocalS3, rig: BucketRig) -> None:
    s3.put("sounds", "in/a.wav", b"x" * 1001)
    assert type(await rig.refused("s3://sounds/in/a.wav")) is AudioTooLargeError


async def test_an_object_of_now_is_read_not_one_of_before(s3: LocalS3, rig: BucketRig) -> None:
    assert type(await rig.refused("s3://sounds/in/a.wav")) is NotFoundError
    for content in (b"first", b"second and longer"):
        s3.put("sounds", "in/a.wav", content)
        assert await rig.read("s3://sounds/in/a.wav") == content


async def test_many_are_fetched_at_once(s3: LocalS3, rig: BucketRig) -> None:
    for number in range(30):
        s3.put("sounds", f"in/{number}.wav", str(number).encode())
    files = SourceFiles(
        rig.rules, rig.blobs, rig.stores, HttpSource(rig.rules, [], 5), rig.scratch, 1000
    )

    async def read(number: int) -> bytes:
        async with files.local(FileSource("a", f"s3://sounds/in/{number}.wav")) as path:
            return path.read_bytes()

    read_all = await asyncio.gather(*map(read, range(30)))
    assert read_all == [str(number).encode() for number in range(30)]
    assert rig.left() == []


async def test_without_keys_it_is_refused(
    s3: LocalS3, rig: BucketRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in AWS:
        monkeypatch.delenv(name)
    assert type(await rig.refused("s3://sounds/in/a.wav")) is PermissionDeniedError


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("prefix", ["", "/blobs/of/us"])
async def test_blobs_are_kept_in_a_bucket(
    s3: LocalS3, stores: ObjectStores, tmp_path: Path, scheme: str, prefix: str
) -> None:
    rig = BucketRig(tmp_path, stores, f"{scheme}://kept{prefix}")
    path = rig.upload(b"uploaded")
    await rig.blobs.put(path, "job_1/0")
    assert [path for path in (path, rig.blobs.path_of("job_1/0")) if path and path.exists()] == []
    assert s3.objects("kept") == {f"{prefix}/job_1/0".strip("/"): b"uploaded"}
    assert await rig.read("job_1/0", uploaded=True) == b"uploaded"
    assert type(await rig.refused("job_1/1", uploaded=True)) is NotFoundError
    await rig.blobs.remove(["job_1/0", "job_1/7"])
    assert s3.objects("kept") == {}


async def test_a_large_blob_is_never_whole_in_memory(
    s3: LocalS3, stores: ObjectStores, tmp_path: Path
) -> None:
    """It comes in parts of eight megabytes, which are put together in the store."""
    rig = BucketRig(tmp_path, stores, "s3://kept")
    content = os.urandom(25_000_000)
    await rig.blobs.put(rig.upload(content), "job_1/0")
    found = s3.client.head_object(Bucket="kept", Key="job_1/0")
    assert found["ETag"].strip('"').endswith("-4")
    assert await rig.read("job_1/0", uploaded=True, max_bytes=len(content)) == content


async def test_an_upload_that_cannot_be_kept_stays(stores: ObjectStores, tmp_path: Path) -> None:
    rig = BucketRig(tmp_path, stores, "s3://no-such-bucket")
    path = rig.upload(b"uploaded")
    with pytest.raises(VoxfleetError):
        await rig.blobs.put(path, "job_1/0")
    assert path.read_bytes() == b"uploaded"


async def test_orphans_are_found_in_a_bucket(
    s3: LocalS3, stores: ObjectStores, tmp_path: Path
) -> None:
    rig = BucketRig(tmp_path, stores, "s3://kept/blobs")
    assert [key async for key in rig.blobs.keys(1e12)] == []
    for key in ("job_1/0", "job_1/1", "job_2/0", "job_2/note.txt", "top", ".x/0"):
        s3.put("kept", f"blobs/{key}", b"")
    s3.put("kept", "elsewhere/0", b"")
    assert [key async for key in rig.blobs.keys(time.time() - 3600)] == []
    found = [key async for key in rig.blobs.keys(time.time() + 3600)]
    assert sorted(found) == ["job_1/0", "job_1/1", "job_2/0"]
    await rig.blobs.remove(found)
    assert len(s3.objects("kept")) == 4
