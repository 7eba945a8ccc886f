"""Sources that are deleted or moved once their text is stored, in buckets and out of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.s3_rig import BucketRig, placed, set_keys
from tests.integration.s3_server import LocalS3, local_s3
from voxfleet.errors import OverloadError, VoxfleetError
from voxfleet.jobs.job import Archive
from voxfleet.jobs.object_stores import ObjectStores

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
async def test_only_the_object_named_is_deleted(s3: LocalS3, rig: BucketRig, scheme: str) -> None:
    """Its name is no pattern for others."""
    for name in ("*.wav", "a.wav", "[a].wav"):
        s3.put("sounds", f"in/{name}", b"sound")
    for _ in range(2):
        place = f"{scheme}://sounds/in/*.wav"
        await rig.archive(Archive.DELETE, "", place, uploaded=False)
        assert set(s3.objects("sounds")) == {"in/a.wav", "in/[a].wav"}


@pytest.mark.parametrize("url", ["s3://kept/old", "oss://kept/old"])
@pytest.mark.parametrize("source", ["s3", "oss", "path", "blob", "s3 blob"])
async def test_a_source_is_moved_into_a_bucket(
    s3: LocalS3, stores: ObjectStores, tmp_path: Path, source: str, url: str
) -> None:
    rig = BucketRig(tmp_path, stores, "s3://sounds/in" if source == "s3 blob" else "")
    place = await placed(s3, rig, source)
    for _ in range(2):
        await rig.archive(Archive.MOVE, url, place, uploaded=source.endswith("blob"))
        assert s3.objects("kept") == {"old/job_1/3-talk.wav": b"sound"}
        assert s3.objects("sounds") == {}
        assert rig.files() == {}


@pytest.mark.parametrize("source", ["s3", "s3 blob"])
async def test_a_source_is_moved_out_of_a_bucket(
    s3: LocalS3, stores: ObjectStores, tmp_path: Path, source: str
) -> None:
    rig = BucketRig(tmp_path, stores, "s3://sounds/in" if source == "s3 blob" else "")
    place = await placed(s3, rig, source)
    archive = tmp_path / "archive"
    for _ in range(2):
        await rig.archive(Archive.MOVE, str(archive), place, uploaded=source.endswith("blob"))
        assert rig.files() == {"archive/job_1/3-talk.wav": b"sound"}
        assert s3.objects("sounds") == {}


@pytest.mark.parametrize("source", ["s3", "path"])
async def test_a_source_stays_where_its_copy_is_not_whole(
    s3: LocalS3, rig: BucketRig, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    place = await placed(s3, rig, source)

    def shortened(*_: object) -> None:
        s3.put("kept", "old/job_1/3-talk.wav", b"soun")

    for way in ("copy", "upload"):
        monkeypatch.setattr(rig.stores, way, shortened)
    with pytest.raises(OverloadError, match="4 bytes"):
        await rig.archive(Archive.MOVE, "s3://kept/old", place, uploaded=False)
    there = s3.objects("sounds") if source == "s3" else rig.files()
    assert list(there.values()) == [b"sound"]


@pytest.mark.parametrize("source", ["s3", "path"])
async def test_an_archive_that_is_missing_does_not_count_as_done(
    s3: LocalS3, rig: BucketRig, source: str
) -> None:
    place = await placed(s3, rig, source)
    with pytest.raises(VoxfleetError):
        await rig.archive(Archive.MOVE, "s3://no-such-bucket", place, uploaded=False)
    there = s3.objects("sounds") if source == "s3" else rig.files()
    assert list(there.values()) == [b"sound"]
