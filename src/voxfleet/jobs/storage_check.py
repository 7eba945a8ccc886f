"""What of jobs' storage can be known to be wrong when a server starts, each told in one line."""

from __future__ import annotations

from collections.abc import Sequence

from voxfleet.errors import StartError
from voxfleet.jobs.job import Archive
from voxfleet.jobs.object_stores import ObjectStores
from voxfleet.jobs.source_rules import SourceRules
from voxfleet.jobs.storage_place import ObjectPlace, folder_place, object_place


def checked_storage(
    stores: ObjectStores,
    *,
    sources: Sequence[str],
    blob_url: str,
    archive_url: str,
    archives: Sequence[str],
) -> SourceRules:
    """`archives` are the default action and all that jobs may ask for. Raises StartError."""
    rules = SourceRules(sources)
    for source in sources:
        objects = object_place(source)
        if objects is not None:
            stores.check(objects.scheme, "jobs.sources")
    for setting, url in (("jobs.blob_url", blob_url), ("jobs.archive_url", archive_url)):
        place = folder_place(url) if url else None
        if isinstance(place, ObjectPlace):
            stores.check(place.scheme, setting)
    if Archive.MOVE in archives and not archive_url:
        raise StartError(
            "jobs.archive_url: is empty, and sources are to be moved there; set it, or take move"
            " out of jobs.archive and jobs.allowed_archives"
        )
    return rules
