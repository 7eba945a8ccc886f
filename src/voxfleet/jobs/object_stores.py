"""Buckets of S3 and OSS: makes their file systems, and does with objects what jobs need.

OSS is spoken to through its S3 interface. All of it blocks, in threads of its own, so that a store
that answers slowly holds up nothing else. Knows no job and no rule.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import ipaddress
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from voxfleet.errors import StartError
from voxfleet.jobs.place_faults import away, denied, faults_of, no_file
from voxfleet.jobs.scratch_copy import ScratchCopy
from voxfleet.jobs.storage_place import ObjectPlace

_T = TypeVar("_T")
_THREADS = 16
_READ_BYTES = 8_000_000
#: what is uploaded is in memory by parts, and less than two parts all at once
_PART_BYTES = 8_000_000
_PARTS_AT_ONCE = 2
_CONNECT_TIMEOUT_S = 10
_READ_TIMEOUT_S = 60
_REQUEST_TRIES = 3
_OSS_REGION = re.compile(r"oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$")
_OSS_KEYS = ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET")


class Objects(Protocol):
    """What is used of a file system of fsspec; paths are `bucket/key`."""

    def info(self, path: str, /) -> Mapping[str, object]: ...
    def open(
        self, path: str, mode: str, *, block_size: int, cache_type: str
    ) -> AbstractContextManager[BinaryIO]: ...
    def put_file(self, local: str, path: str, /, *, chunksize: int) -> None: ...
    def cp_file(self, path: str, target: str, /) -> None: ...
    def rm_file(self, path: str, /) -> None: ...
    def ls(self, path: str, /, detail: bool) -> Sequence[Mapping[str, object]]: ...


class ObjectStores:
    """One file system for each scheme, made when it is first needed; `close` once, at the end."""

    def __init__(
        self,
        s3_endpoint: str = "",
        oss_endpoint: str = "",
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._endpoints = {"s3": s3_endpoint, "oss": oss_endpoint}
        self._environment = environment
        self._made: dict[str, Objects] = {}
        self._making = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, "objects")

    def check(self, scheme: str, wanted_by: str) -> None:
        """Raises StartError where objects of the scheme cannot be reached; `wanted_by`: setting."""
        if importlib.util.find_spec("s3fs") is None:
            raise StartError(
                f"{wanted_by}: {scheme}:// needs a package; pip install 'voxfleet[s3]'"
            )
        if scheme == "oss" and not self._endpoints["oss"]:
            raise StartError(
                f"{wanted_by}: oss:// needs jobs.oss_endpoint, such as"
                " https://oss-cn-hangzhou.aliyuncs.com"
            )
        if scheme == "oss" and not all(self._environment.get(key) for key in _OSS_KEYS):
            raise StartError(
                f"{wanted_by}: oss:// needs keys; set {_OSS_KEYS[0]} and {_OSS_KEYS[1]}"
            )

    async def run(self, name: str, do: Callable[[], _T]) -> _T:
        """In a thread; faults become VoxfleetError. `name` is what the file's owner calls it."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: _told(name, do)
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- in a thread, within `run` ------------------------------------------------------------

    def size_bytes(self, place: ObjectPlace) -> int:
        """Raises FileNotFoundError."""
        return _size_of(self._of(place).info(place.path))

    def exists(self, place: ObjectPlace) -> bool:
        try:
            return self._of(place).info(place.path).get("type") == "file"
        except FileNotFoundError:
            return False

    def download(self, place: ObjectPlace, copy: ScratchCopy) -> None:
        objects = self._of(place)
        # a folder, as fsspec sees it, is what has objects below it
        found = objects.info(place.path)
        if found.get("type") != "file":
            raise no_file(copy.name)
        copy.check_size(_size_of(found))
        reading = objects.open(place.path, "rb", block_size=_READ_BYTES, cache_type="none")
        with reading as file:
            while piece := file.read(_READ_BYTES):
                copy.write(piece)
        copy.write(b"")

    def upload(self, path: Path, place: ObjectPlace) -> None:
        """Others see all of it or nothing."""
        self._of(place).put_file(str(path), place.path, chunksize=_PART_BYTES)

    def copy(self, place: ObjectPlace, target: ObjectPlace) -> None:
        """Inside one store; its bytes do not come here."""
        self._of(place).cp_file(place.path, target.path)

    def remove(self, place: ObjectPlace) -> None:
        """It may be gone already. Never `rm`, which takes a key for a pattern."""
        try:
            self._of(place).rm_file(place.path)
        except FileNotFoundError:
            return

    def listed(self, place: ObjectPlace) -> Sequence[Mapping[str, object]]:
        """What is directly below a folder."""
        try:
            return self._of(place).ls(place.path, detail=True)
        except FileNotFoundError:
            return ()

    def _of(self, place: ObjectPlace) -> Objects:
        with self._making:
            if place.scheme not in self._made:
                self._made[place.scheme] = self._new(place.scheme)
            return self._made[place.scheme]

    def _new(self, scheme: str) -> Objects:
        self.check(scheme, "jobs")
        options = file_system_options(scheme, self._endpoints[scheme], self._environment)
        return cast(Objects, importlib.import_module("s3fs").S3FileSystem(**options))


def file_system_options(
    scheme: str, endpoint: str, environment: Mapping[str, str]
) -> dict[str, object]:
    config: dict[str, object] = {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "read_timeout": _READ_TIMEOUT_S,
        "retries": {"mode": "standard", "max_attempts": _REQUEST_TRIES},
    }
    # a listing or a file system that is remembered would show what was there before
    options: dict[str, object] = {
        "use_listings_cache": False,
        "skip_instance_cache": True,
        "max_concurrency": _PARTS_AT_ONCE,
        "config_kwargs": config,
    }
    if endpoint:
        options["endpoint_url"] = endpoint
        # stores other than Amazon's know no checksums at the end of a body
        config["request_checksum_calculation"] = "when_required"
        config["response_checksum_validation"] = "when_required"
    if scheme == "oss":
        config["signature_version"] = "s3v4"
        config["s3"] = {"addressing_style": "path" if _is_local(endpoint) else "virtual"}
        options["key"], options["secret"] = (environment.get(key) for key in _OSS_KEYS)
        region = _OSS_REGION.search(urlsplit(endpoint).hostname or "")
        options["client_kwargs"] = {"region_name": region[1] if region else "oss"}
    return options


def _size_of(found: Mapping[str, object]) -> int:
    size = found.get("size")
    return size if isinstance(size, int) else 0


def _is_local(endpoint: str) -> bool:
    """Without a domain that could have buckets as its parts."""
    host = urlsplit(endpoint).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def _told(name: str, do: Callable[[], _T]) -> _T:
    try:
        with faults_of(name):
            return do()
    except _refusals() as fault:
        raise denied(name) from fault
    except _outages() as fault:
        raise away(name, type(fault).__name__) from fault


def _refusals() -> tuple[type[Exception], ...]:
    """Faults that do not pass: no keys. Without the package there is no fault of it either."""
    return _faults("botocore.exceptions", "NoCredentialsError", "PartialCredentialsError")


def _outages() -> tuple[type[Exception], ...]:
    return (
        *_faults("botocore.exceptions", "BotoCoreError", "ClientError"),
        *_faults("aiohttp", "ClientError"),
        *_faults("fsspec.exceptions", "FSTimeoutError"),
    )


def _faults(module: str, *names: str) -> tuple[type[Exception], ...]:
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return ()
    loaded = importlib.import_module(module)
    return tuple(getattr(loaded, name) for name in names)
