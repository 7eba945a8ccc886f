"""Where bytes can lie: a path of this machine, or an object in a bucket. Pure; opens neither."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from voxfleet.errors import StartError

OBJECT_SCHEMES = ("s3", "oss")
_OBJECT = re.compile(r"(?P<scheme>s3|oss)://(?P<bucket>[^/]+)/?(?P<key>.*)", re.DOTALL)
_FILE = "file://"


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """An object, or a folder of objects: `key` is without slashes at its ends, "" is the bucket."""

    scheme: str
    bucket: str
    key: str = ""

    @property
    def path(self) -> str:
        """As fsspec writes it."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def under(self, relative: str) -> ObjectPlace:
        key = f"{self.key}/{relative}" if self.key else relative
        return ObjectPlace(self.scheme, self.bucket, key)


def object_place(place: str) -> ObjectPlace | None:
    """None where it is no object."""
    found = _OBJECT.fullmatch(place)
    if found is None:
        return None
    return ObjectPlace(found["scheme"], found["bucket"], found["key"].strip("/"))


def folder_place(url: str) -> Path | ObjectPlace:
    """A folder that a setting names: a path, `file://` and a path, `s3://`, `oss://`."""
    objects = object_place(url)
    if objects is not None:
        return objects
    path = url.removeprefix(_FILE)
    if not path.startswith("/"):
        raise StartError(f"{url}: no folder; write an absolute path, s3://bucket/folder or oss://")
    return Path(path)
