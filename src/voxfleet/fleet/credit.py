"""How many padded seconds one worker is sent at once. Pure: no clock, no process.

Three things bound it: what is wanted (`batch_size_s`, or what fits the time a batch should take),
what the device's memory has been seen to hold, and slow start: a life begins small and doubles
with every good batch. Knows no segment.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.pool_contract import TimeModel

#: a single segment of the usual greatest length always travels
LEAST_CREDIT_S = 30.0
#: after running out of memory: so many good batches until a tenth more is tried
_GOOD_BATCHES_TO_GROW = 10
_GROWTH = 1.1


@dataclass(frozen=True, slots=True)
class CreditRule:
    """`batch_size_s` None means automatic: batches that compute for about `goal_s`."""

    batch_size_s: float | None = None
    goal_s: float = 3.0

    def wanted_s(self, most_s: float, pace: TimeModel) -> float:
        """`most_s` is what the engine itself takes at most."""
        if self.batch_size_s is not None:
            return self.batch_size_s
        return min(most_s, max(LEAST_CREDIT_S, pace.padded_within_s(self.goal_s)))


class Credit:
    """One life's worth; memory learned in one life is kept in the next."""

    def __init__(self, rule: CreditRule) -> None:
        self._rule = rule
        self._most_s = LEAST_CREDIT_S
        self._start_s = LEAST_CREDIT_S
        self._memory_s: float | None = None
        self._good_batches = 0

    def begin(self, most_s: float) -> None:
        """A life is ready: it starts small."""
        self._most_s = most_s
        self._start_s = LEAST_CREDIT_S

    def now_s(self, pace: TimeModel) -> float:
        wanted_s = min(self._rule.wanted_s(self._most_s, pace), self._start_s)
        return wanted_s if self._memory_s is None else min(wanted_s, self._memory_s)

    def good_batch(self, pace: TimeModel) -> None:
        wanted_s = self._rule.wanted_s(self._most_s, pace)
        self._start_s = min(self._start_s * 2, max(wanted_s, LEAST_CREDIT_S))
        if self._memory_s is None:
            return
        self._good_batches += 1
        if self._good_batches >= _GOOD_BATCHES_TO_GROW:
            self._good_batches = 0
            self._memory_s *= _GROWTH
            if self._memory_s >= wanted_s:
                self._memory_s = None

    def out_of_memory(self, padded_s: float) -> None:
        """A batch of so many padded seconds did not fit: half of it may."""
        least_s = 1.0
        self._memory_s = max(least_s, min(padded_s, self._memory_s or padded_s) / 2)
        self._good_batches = 0
