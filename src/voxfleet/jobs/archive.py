"""What becomes of a source once its text is stored: it is deleted, or moved to the archive.

Each may be asked again after a crash between any two of its steps, and then ends as if it had been
asked once: what is at the target already is whole, and a source that is gone needs nothing more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from voxfleet.errors import OverloadError, ParameterError, SettingsError
from voxfleet.jobs.blob_store import BlobStore
from voxfleet.jobs.durable_move import (
    PART_SUFFIX,
    make_folder,
    move_durably,
    opened_folder,
    remove_stale_parts,
)
from voxfleet.jobs.job import Archive, ArchiveDue, FileSource
from voxfleet.jobs.local_places import FoundFile, found_file
from voxfleet.jobs.object_stores import ObjectStores
from voxfleet.jobs.scratch_copy import ScratchCopy
from voxfleet.jobs.source_rules import SourceRules, is_http
from voxfleet.jobs.storage_place import ObjectPlace, folder_place, object_place

_log = logging.getLogger(__name__)
_MAX_NAME_BYTES = 150
_ANY_SIZE = 1 << 62


def refuse_archive(action: Archive, source: FileSource) -> None:
    """Asked when a job is made; raises ParameterError."""
    if action is not Archive.KEEP and not source.uploaded and is_http(source.place):
        raise ParameterError(
            f"archive: a source at http:// or https:// cannot be {_DONE[action]}; write keep",
            param="archive",
        )


_DONE = {Archive.DELETE: "deleted", Archive.MOVE: "moved"}


def archived_name(position: int, name: str) -> str:
    """Of a moved file: unique in its job, one part of a path, and like the file's own name."""
    last = name.replace("\\", "/").rpartition("/")[2]
    safe = "".join(char if char.isalnum() or char in "._-" else "_" for char in last)
    stem, dot, suffix = safe.rpartition(".")
    if not stem or len(suffix) > 10:
        stem, dot, suffix = safe, "", ""
    room = _MAX_NAME_BYTES - len(f"{dot}{suffix}".encode())
    return f"{position}-{stem.encode()[:room].decode(errors='ignore')}{dot}{suffix}"


class Archiver:
    """`archive_url` is where `move` moves to; `scratch_dir` is for what goes between two stores."""

    def __init__(
        self,
        rules: SourceRules,
        blobs: BlobStore,
        stores: ObjectStores,
        archive_url: str,
        scratch_dir: Path,
    ) -> None:
        self._rules = rules
        self._blobs = blobs
        self._stores = stores
        self._archive = folder_place(archive_url) if archive_url else None
        self._scratch_dir = scratch_dir

    async def archive(self, due: ArchiveDue) -> None:
        """Raises VoxfleetError where it is to be asked again."""
        refuse_archive(due.action, due.source)
        if due.action is Archive.KEEP:
            return
        do = self._delete if due.action is Archive.DELETE else self._move
        await self._stores.run(due.source.name, lambda: do(due))

    # -- in a thread --------------------------------------------------------------------------

    def _delete(self, due: ArchiveDue) -> None:
        source = self._place(due.source)
        if isinstance(source, ObjectPlace):
            self._stores.remove(source)
        else:
            self._with_found(source, due, lambda found: os.unlink(found.name, dir_fd=found.folder))

    def _move(self, due: ArchiveDue) -> None:
        source, target = self._place(due.source), self._target(due)
        if isinstance(source, ObjectPlace):
            moved = self._moved_object(source, target, due)
        else:
            moved = self._with_found(source, due, lambda found: self._moved_file(found, target))
        if not moved and not self._is_there(target):
            _log.warning(
                "job %s file %d: its source is gone, so it is not in the archive",
                due.job_id,
                due.position,
            )

    def _place(self, source: FileSource) -> Path | ObjectPlace:
        if source.uploaded:
            return self._blobs.place_of(source.place)
        place = self._rules.understood(source.place)
        return object_place(place) or Path(place)

    def _target(self, due: ArchiveDue) -> Path | ObjectPlace:
        relative = f"{due.job_id}/{archived_name(due.position, due.source.name)}"
        if self._archive is None:
            raise SettingsError(
                "jobs.archive_url is not set, so no source can be moved; set it, or change"
                " jobs.archive"
            )
        if isinstance(self._archive, ObjectPlace):
            return self._archive.under(relative)
        return self._archive / relative

    def _is_there(self, target: Path | ObjectPlace) -> bool:
        return target.exists() if isinstance(target, Path) else self._stores.exists(target)

    def _with_found(self, path: Path, due: ArchiveDue, do: Callable[[FoundFile], None]) -> bool:
        """False where the source is gone: only that, other things that are missing are faults."""
        folders = [str(path.parent)] if due.source.uploaded else self._rules.folders
        with ExitStack() as stack:
            try:
                found = stack.enter_context(found_file(str(path), folders, due.source.name))
            except (FileNotFoundError, NotADirectoryError):
                return False
            do(found)
        return True

    def _moved_file(self, found: FoundFile, target: Path | ObjectPlace) -> None:
        if isinstance(target, ObjectPlace):
            self._stores.upload(found.path, target)
            self._check_size(target, found.size_bytes)
        elif not target.exists():
            _prepare(target.parent)
            move_durably(found.folder, found.name, target)
            return
        elif not _is_copy(target, found):
            # the source was moved before: this is another file in its place
            return
        os.unlink(found.name, dir_fd=found.folder)

    def _moved_object(
        self, source: ObjectPlace, target: Path | ObjectPlace, due: ArchiveDue
    ) -> bool:
        if not self._stores.exists(source):
            return False
        if isinstance(target, Path):
            self._download(source, target, due.source.name)
        else:
            self._copy_object(source, target, due.source.name)
            self._check_size(target, self._stores.size_bytes(source))
        self._stores.remove(source)
        return True

    def _download(self, source: ObjectPlace, target: Path, name: str) -> None:
        _prepare(target.parent)
        part = target.with_name(f".{uuid4().hex}{PART_SUFFIX}")
        with _discarded_at_end(ScratchCopy(part, name, _ANY_SIZE)) as copy:
            self._stores.download(source, copy)
            with opened_folder(target.parent) as folder:
                move_durably(folder, part.name, target)

    def _copy_object(self, source: ObjectPlace, target: ObjectPlace, name: str) -> None:
        if source.scheme == target.scheme:
            self._stores.copy(source, target)
            return
        between = ScratchCopy(self._scratch_dir / f"moved-{uuid4().hex}", name, _ANY_SIZE)
        with _discarded_at_end(between) as copy:
            self._stores.download(source, copy)
            self._stores.upload(copy.path, target)

    def _check_size(self, target: ObjectPlace, size_bytes: int) -> None:
        found = self._stores.size_bytes(target)
        if found != size_bytes:
            raise OverloadError(
                f"archive: the copy has {found} bytes and its source {size_bytes}; the source stays"
                " until it is tried again"
            )


@contextmanager
def _discarded_at_end(copy: ScratchCopy) -> Iterator[ScratchCopy]:
    try:
        yield copy
    finally:
        copy.discard()


def _prepare(folder: Path) -> None:
    make_folder(folder)
    remove_stale_parts(folder)


def _is_copy(target: Path, found: FoundFile) -> bool:
    """A move to another file system was cut off before its source went."""
    there = target.stat()
    return (there.st_size, there.st_mtime_ns) == (found.size_bytes, found.changed_ns)
