"""Sources, blobs and archive around buckets of a local S3, for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.s3_server import AWS, LocalS3
from voxfleet.errors import VoxfleetError
from voxfleet.jobs.archive import Archiver
from voxfleet.jobs.blob_store import BlobStore
from voxfleet.jobs.http_source import HttpSource
from voxfleet.jobs.job import Archive, ArchiveDue, FileSource
from voxfleet.jobs.object_stores import ObjectStores
from voxfleet.jobs.source_files import SourceFiles
from voxfleet.jobs.source_rules import SourceRules


def set_keys(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Neither a developer's own keys nor a question to the cloud."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class BucketRig:
    """All parts around one set of stores."""

    def __init__(self, folder: Path, stores: ObjectStores, blob_url: str = "") -> None:
        self.folder = folder
        self.stores = stores
        self.scratch = folder / "scratch"
        self.rules = SourceRules(["s3://sounds/in", "oss://sounds/in", str(folder / "in")])
        self.blobs = BlobStore(blob_url, folder / "data", stores)

    async def read(self, place: str, *, uploaded: bool = False, max_bytes: int = 1000) -> bytes:
        http = HttpSource(self.rules, [], 5)
        files = SourceFiles(self.rules, self.blobs, self.stores, http, self.scratch, max_bytes)
        try:
            async with files.local(FileSource("talk.wav", place, uploaded)) as path:
                assert path.stat().st_mode & 0o777 == 0o600
                return path.read_bytes()
        finally:
            assert self.left() == []
            await http.close()

    async def refused(self, place: str, *, uploaded: bool = False) -> VoxfleetError:
        with pytest.raises(VoxfleetError) as raised:
            await self.read(place, uploaded=uploaded)
        assert raised.value.message.startswith("talk.wav: ")
        assert "sounds" not in raised.value.message
        return raised.value

    async def archive(self, action: Archive, url: str, place: str, *, uploaded: bool) -> None:
        archiver = Archiver(self.rules, self.blobs, self.stores, url, self.scratch)
        source = FileSource("talk.wav", place, uploaded)
        await archiver.archive(ArchiveDue("job_1", 3, source, action))
        assert self.left() == []

    def left(self) -> list[Path]:
        return list(self.scratch.iterdir()) if self.scratch.exists() else []

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def local_sound(self) -> str:
        path = self.folder / "in" / "talk.wav"
        path.parent.mkdir()
        path.write_bytes(b"sound")
        return str(path)

    def upload(self, content: bytes) -> Path:
        path = self.folder / "upload"
        path.write_bytes(content)
        return path


async def placed(s3: LocalS3, rig: BucketRig, source: str) -> str:
    """A sound in a bucket, in a folder, or in the store of blobs; gives its place."""
    if source.endswith("blob"):
        await rig.blobs.put(rig.upload(b"sound"), "job_1/3")
        return "job_1/3"
    if source == "path":
        return rig.local_sound()
    s3.put("sounds", "in/talk.wav", b"sound")
    return f"{source}://sounds/in/talk.wav"
