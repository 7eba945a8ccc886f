"""A file that always names what a media process works on, readable after its death.

What is written has reached the kernel, so it survives SIGKILL, while a message may still lie in the
dead process. Knows nothing of what the names mean.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

_SIZE = 64


class TurnFile:
    """The writing end, in the media process."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def begin(self, name: str) -> None:
        os.pwrite(self._descriptor, name.encode().ljust(_SIZE, b"\0"), 0)

    def end(self) -> None:
        os.pwrite(self._descriptor, bytes(_SIZE), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


def read_turn(path: Path) -> str | None:
    """The name that was being worked on, or None; raises OSError when that cannot be known."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    # the dead process may have been made to write anything
    return content[:_SIZE].rstrip(b"\0").decode(errors="replace") or None
