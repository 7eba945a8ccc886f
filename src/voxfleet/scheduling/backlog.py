"""How much sound the requests that are let in but not yet cut will bring. Pure.

Knows no request; learns from those that are finished.
"""

from __future__ import annotations

#: the newest request counts for at least so much of the mean: about the last twenty matter
NEWEST_SHARE = 0.05


class Backlog:
    def __init__(self) -> None:
        self._finished = 0
        self._mean_s = 0.0

    def finished(self, audio_s: float) -> None:
        """A request had so much sound."""
        self._finished += 1
        share = max(1 / self._finished, NEWEST_SHARE)
        self._mean_s += share * (audio_s - self._mean_s)

    def expected_s(self, uncut_requests: int) -> float:
        """0 until the first is finished: nothing is known, and no rate is measured either."""
        return uncut_requests * self._mean_s
