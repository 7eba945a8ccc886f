"""Sound that ended the model's process again and again is not let near it for a while. Pure.

Knows keys and times; no worker, no file and no clock.
"""

from __future__ import annotations

import hashlib
import json

from voxfleet.core import SpooledSegment


class Quarantine:
    """At most `most` keys, each for `keep_s`; the oldest is forgotten first."""

    def __init__(self, keep_s: float = 3600.0, most: int = 10_000) -> None:
        self._keep_s = keep_s
        self._most = most
        #: in the order of their times
        self._since_s: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._since_s)

    def add(self, key: str, now_s: float) -> None:
        """An empty key, of sound that nobody can recognise, is not kept."""
        if not key:
            return
        self._since_s.pop(key, None)
        self._since_s[key] = now_s
        self._forget(now_s)

    def holds(self, key: str, now_s: float) -> bool:
        since_s = self._since_s.get(key)
        return since_s is not None and now_s - since_s < self._keep_s

    def _forget(self, now_s: float) -> None:
        while self._since_s:
            oldest = next(iter(self._since_s))
            if len(self._since_s) <= self._most and self.holds(oldest, now_s):
                return
            del self._since_s[oldest]


def quarantine_key(segment: SpooledSegment) -> str:
    """Equal for equal sound read with equal options; empty where the sound has no digest."""
    if not segment.digest:
        return ""
    options = json.dumps([segment.options.language, segment.options.hotwords])
    return f"{segment.digest}-{hashlib.sha256(options.encode()).hexdigest()[:16]}"
