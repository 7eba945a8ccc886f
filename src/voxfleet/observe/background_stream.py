"""A stream that is written to by a thread, so that whoever logs never waits for whoever reads.

A pipe that nobody empties would else stop a server in the middle of a line. Knows nothing of what
is written.
"""

from __future__ import annotations

import queue
import threading
from typing import TextIO

#: lines kept for a reader that is slow; some megabytes at most
_MAX_LINES = 10_000
_CLOSE_LIMIT_S = 2.0


class BackgroundStream:
    """For a `logging.StreamHandler`. What comes while the reader is too far behind is dropped, and
    the stream says how much of it was.
    """

    def __init__(self, stream: TextIO | None, max_lines: int = _MAX_LINES) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(max_lines)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="log writer", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Nothing to wait for: the thread flushes what it has written."""

    def close(self, limit_s: float = _CLOSE_LIMIT_S) -> None:
        """What is left is written, unless nobody reads it."""
        try:
            self._lines.put(None, timeout=limit_s)
        except queue.Full:
            return
        self._thread.join(limit_s)

    def _write_all(self) -> None:
        while (text := self._lines.get()) is not None:
            if dropped := self._dropped:
                self._dropped -= dropped
                text = f"{dropped} lines were dropped here, as nobody read them in time\n{text}"
            try:
                if self._stream:
                    self._stream.write(text)
                    self._stream.flush()
            except (OSError, ValueError):
                # nobody is there to read it any more: nor to be told so
                continue
