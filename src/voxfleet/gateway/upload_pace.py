"""How slowly an upload may arrive before its place is given to somebody else. Pure.

Only the time spent waiting for the client counts: a slow disk of ours is not the client's fault.
Knows no socket and no clock.
"""

from __future__ import annotations

#: the least an upload must bring in every stretch of waiting this long; a limit for each chunk
#: alone would let one byte a minute hold a place for ever
UPLOAD_WINDOW_S = 30.0
MIN_UPLOAD_BYTES_PER_S = 16_000


class UploadPace:
    def __init__(self, window_s: float, min_bytes_per_s: float) -> None:
        self._window_s = window_s
        self._quota_bytes = window_s * min_bytes_per_s
        self._waited_s = 0.0
        self._came_bytes = 0

    def came(self, size_bytes: int, waited_s: float) -> None:
        """A chunk arrived; the window begins anew once it has brought its share."""
        self._waited_s += waited_s
        self._came_bytes += size_bytes
        if self._came_bytes >= self._quota_bytes:
            self._waited_s, self._came_bytes = 0.0, 0

    @property
    def left_s(self) -> float:
        """How long the next chunk may still take; 0 when the upload is too slow."""
        return max(0.0, self._window_s - self._waited_s)

    @property
    def fault(self) -> str:
        return (
            f"the upload is too slow: {self._came_bytes} bytes came in {self._window_s:g} s and "
            f"{self._quota_bytes:.0f} are the least; send it over a faster line, or compressed "
            "(opus, mp3, flac)"
        )
