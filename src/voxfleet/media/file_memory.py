"""How far a media process may grow for one file, whatever the files beside it hold.

Between turns nothing is limited: the memory a file is charged with is what the process grew by in
that file's own turns. Knows no sound.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_MEGABYTE = 1024 * 1024


class FileMemory:
    """`measure` gives the bytes of private memory in use; `allow` makes more than so many fail."""

    def __init__(
        self,
        limit_mb: int,
        measure: Callable[[], int] | None = None,
        allow: Callable[[int | None], None] | None = None,
    ) -> None:
        self._limit = limit_mb * _MEGABYTE
        self._measure = measure or _private_bytes
        self._allow = allow or _allow
        self._charged: dict[str, int] = {}

    @contextmanager
    def turn(self, file_id: str) -> Iterator[None]:
        """Within it the process may grow by what is left to the file; beyond is a MemoryError."""
        before = self._measure()
        charged = self._charged.get(file_id, 0)
        self._allow(before + max(0, self._limit - charged))
        try:
            yield
        finally:
            self._allow(None)
            # what others left behind may be freed in this turn: that is no credit
            self._charged[file_id] = max(0, charged + self._measure() - before)

    def forget(self, file_id: str) -> None:
        self._charged.pop(file_id, None)


def _private_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    used_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmData"))
    return int(used_kb) * 1024


def _allow(most_bytes: int | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = hard if most_bytes is None else most_bytes
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
