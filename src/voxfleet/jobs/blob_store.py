"""Uploaded files of jobs, from their upload until their job goes: in a folder or in a bucket.

A key is `job id/position`. Knows no job and no table: what nobody needs any more, others say.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from voxfleet.jobs.local_blobs import LocalBlobs
from voxfleet.jobs.object_stores import ObjectStores
from voxfleet.jobs.place_faults import faults_of
from voxfleet.jobs.scratch_copy import ScratchCopy
from voxfleet.jobs.storage_place import ObjectPlace, folder_place

_T = TypeVar("_T")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}/(?:0|[1-9][0-9]{0,6})")
_DEFAULT_FOLDER = "blobs"
#: removed at once from a bucket; each is a request of its own, as OSS takes no list without MD5
_REMOVED_AT_ONCE = 8
_AT_ONCE = 500


def blob_key(job_id: str, position: int) -> str:
    return f"{job_id}/{position}"


class BlobStore:
    """`url` is the setting jobs.blob_url; empty is a folder in the data directory."""

    def __init__(self, url: str, data_dir: Path, stores: ObjectStores) -> None:
        self._place = folder_place(url) if url else data_dir / _DEFAULT_FOLDER
        self._stores = stores
        self._local = LocalBlobs(self._place) if isinstance(self._place, Path) else None

    async def put(self, path: Path, key: str) -> None:
        """Takes the file away from `path`; when it returns, the blob is kept, whole.

        Where it raises VoxfleetError, there is no blob, or one that `keys` tells of.
        """
        place = self.place_of(_checked(key))
        if self._local is not None:
            local = self._local
            await _in_thread("the upload", lambda: local.put(path, key))
        elif isinstance(place, ObjectPlace):
            await self._stores.run("the upload", lambda: self._uploaded(path, place))

    def _uploaded(self, path: Path, place: ObjectPlace) -> None:
        self._stores.upload(path, place)
        path.unlink()

    def place_of(self, key: str) -> Path | ObjectPlace:
        if isinstance(self._place, ObjectPlace):
            return self._place.under(_checked(key))
        return self._place / _checked(key)

    def path_of(self, key: str) -> Path | None:
        """None where it must be fetched."""
        place = self.place_of(key)
        return place if isinstance(place, Path) else None

    async def fetch(self, key: str, copy: ScratchCopy) -> None:
        """From a bucket."""
        place = self.place_of(key)
        if isinstance(place, ObjectPlace):
            await self._stores.run(copy.name, lambda: self._stores.download(place, copy))

    async def remove(self, keys: Sequence[str]) -> None:
        """Those that are gone already do not matter. Raises VoxfleetError; may be asked again."""
        for start in range(0, len(keys), _REMOVED_AT_ONCE):
            some = keys[start : start + _REMOVED_AT_ONCE]
            faults = await asyncio.gather(*map(self._remove, some), return_exceptions=True)
            for fault in faults:
                if fault is not None:
                    raise fault

    async def _remove(self, key: str) -> None:
        place = self.place_of(key)
        if isinstance(place, ObjectPlace):
            await self._stores.run(f"blob {key}", lambda: self._stores.remove(place))
        elif self._local is not None:
            local = self._local
            await _in_thread(f"blob {key}", lambda: local.remove(key))

    async def keys(self, before_s: float) -> AsyncIterator[str]:
        """Blobs that have not changed since then (Unix time), a few at a time."""
        if self._local is not None:
            found = self._local.older_than(before_s)
            while some := await _in_thread("the blobs", lambda: list(islice(found, _AT_ONCE))):
                for key in filter(_KEY.fullmatch, some):
                    yield key
        elif isinstance(self._place, ObjectPlace):
            async for key in self._object_keys(self._place, before_s):
                yield key

    async def _object_keys(self, root: ObjectPlace, before_s: float) -> AsyncIterator[str]:
        for folder in await self._names(root):
            if _KEY.fullmatch(f"{folder}/0"):
                for name in await self._names(root.under(folder), before_s):
                    if _KEY.fullmatch(f"{folder}/{name}"):
                        yield f"{folder}/{name}"

    async def _names(self, place: ObjectPlace, before_s: float | None = None) -> Sequence[str]:
        """Of the folders in it; given a time, of the objects that have not changed since then."""
        listed = await self._stores.run("the blobs", lambda: self._stores.listed(place))
        return [
            str(entry["name"]).rpartition("/")[2]
            for entry in listed
            if (entry["type"] == "directory" if before_s is None else _is_older(entry, before_s))
        ]


def _is_older(entry: Mapping[str, object], before_s: float) -> bool:
    changed = entry.get("LastModified")
    return isinstance(changed, datetime) and changed.timestamp() < before_s


def _checked(key: str) -> str:
    """Keys are made by this server: another one is a fault of ours."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"no key of a blob: {key!a}")
    return key


async def _in_thread(name: str, do: Callable[[], _T]) -> _T:
    def told() -> _T:
        with faults_of(name):
            return do()

    return await asyncio.to_thread(told)
