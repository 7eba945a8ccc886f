"""A transcript as a file. Knows neither formats nor what is inside."""

from __future__ import annotations

import contextlib
from pathlib import Path

from voxfleet.errors import UsageError


def write_whole(place: Path, body: str) -> None:
    """All or nothing: a reader never sees half a transcript."""
    partial = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(body, encoding="utf-8")
        partial.replace(place)
    except OSError as fault:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise UsageError(f"{place}: cannot be written: {fault.strerror}") from fault
