"""Brings a job's file where it can be read: as it is, or fetched into a copy that goes afterwards.

Knows what a place means; knows no job and no decoder.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from voxfleet.jobs.blob_store import BlobStore
from voxfleet.jobs.http_source import HttpSource
from voxfleet.jobs.job import FileSource
from voxfleet.jobs.local_places import found_file
from voxfleet.jobs.object_stores import ObjectStores
from voxfleet.jobs.scratch_copy import ScratchCopy, scratch_copy
from voxfleet.jobs.source_rules import SourceRules, is_http
from voxfleet.jobs.storage_place import object_place


class SourceFiles:
    """`scratch_dir` is emptied when a server starts; `max_bytes` is for what is fetched."""

    def __init__(
        self,
        rules: SourceRules,
        blobs: BlobStore,
        stores: ObjectStores,
        http: HttpSource,
        scratch_dir: Path,
        max_bytes: int,
    ) -> None:
        self._rules = rules
        self._blobs = blobs
        self._stores = stores
        self._http = http
        self._scratch_dir = scratch_dir
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def local(self, source: FileSource) -> AsyncIterator[Path]:
        """The file for as long as it lasts. Raises VoxfleetError; `retryable` tells of later."""
        here = await self._here(source)
        if here is not None:
            yield here
            return
        async with scratch_copy(self._scratch_dir, source.name, self._max_bytes) as copy:
            await self._fetch(source, copy)
            yield copy.path

    async def _here(self, source: FileSource) -> Path | None:
        """None where it must be fetched."""
        if source.uploaded:
            blob = self._blobs.path_of(source.place)
            return (
                None
                if blob is None
                else await self._stores.run(source.name, lambda: _readable(blob))
            )
        # what is allowed may have changed since the job was made
        place = self._rules.understood(source.place)
        if not place.startswith("/"):
            return None
        return await self._stores.run(source.name, lambda: self._found(place, source.name))

    def _found(self, place: str, name: str) -> Path:
        """Where the file really is, without links.

        The decoder opens this path a moment later. Between the two only who may write in the
        allowed folders could put a link there, and these are the operator's.
        """
        with found_file(place, self._rules.folders, name) as found:
            return found.path

    async def _fetch(self, source: FileSource, copy: ScratchCopy) -> None:
        if source.uploaded:
            await self._blobs.fetch(source.place, copy)
            return
        place = self._rules.understood(source.place)
        objects = object_place(place)
        if objects is not None:
            await self._stores.run(source.name, lambda: self._stores.download(objects, copy))
        elif is_http(place):
            await self._http.fetch(place, copy)


def _readable(path: Path) -> Path:
    with path.open("rb"):
        return path
