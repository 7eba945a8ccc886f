"""Texts that wait for a text worker: what goes together, whose turn it is, what a death means.

Pure: no loop, no process. Calls take turns, so that a ten-hour transcript does not hold up a short
one; a text that was there when a worker died goes alone from then on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

#: a message to a worker holds no more than this, or one longer text
MAX_BATCH_TEXTS = 64
MAX_BATCH_CHARS = 2_000
#: workers that may die on a text alone before it is to blame
MOST_DEATHS = 2
#: workers that may be lost with a text in hand, whoever is to blame
MOST_LOSSES = 5


@dataclass(eq=False, slots=True)
class TextOrder:
    """One text for one engine; compared by identity."""

    engine: str
    text: str
    suspect: bool = False
    deaths: int = 0
    losses: int = 0

    @property
    def lost_cause(self) -> bool:
        return self.deaths >= MOST_DEATHS or self.losses >= MOST_LOSSES


@dataclass(slots=True)
class TextQueue:
    """`waiting_chars` is what lies in it, those given up by whoever asked included."""

    waiting_chars: int = 0
    _calls: deque[deque[TextOrder]] = field(default_factory=deque)
    _suspects: deque[TextOrder] = field(default_factory=deque)

    def put(self, orders: Sequence[TextOrder]) -> None:
        """One call's texts, answered in any order."""
        if orders:
            self._calls.append(deque(orders))
            self.waiting_chars += sum(len(order.text) for order in orders)

    def discard(self, orders: Sequence[TextOrder]) -> None:
        """Nobody waits for these any more."""
        gone = set(map(id, orders))
        calls = [deque(o for o in call if id(o) not in gone) for call in self._calls]
        self._calls = deque(filter(None, calls))
        self._suspects = deque(o for o in self._suspects if id(o) not in gone)
        rest = [*self._suspects, *(order for call in self._calls for order in call)]
        self.waiting_chars = sum(len(order.text) for order in rest)

    def next_batch(self) -> tuple[TextOrder, ...]:
        """What a free worker computes now, all for one engine; empty when nothing waits."""
        batch = [self._suspects.popleft()] if self._suspects else self._in_turns()
        self.waiting_chars -= sum(len(order.text) for order in batch)
        return tuple(batch)

    def _in_turns(self) -> list[TextOrder]:
        """One text of each call after the other; calls for another engine keep their place."""
        batch: list[TextOrder] = []
        chars = 0
        passed_by: deque[deque[TextOrder]] = deque()
        while self._calls and len(batch) < MAX_BATCH_TEXTS:
            call = self._calls.popleft()
            if batch and call[0].engine != batch[0].engine:
                passed_by.append(call)
                continue
            if batch and chars + len(call[0].text) > MAX_BATCH_CHARS:
                self._calls.appendleft(call)
                break
            chars += len(call[0].text)
            batch.append(call.popleft())
            if call:
                self._calls.append(call)
        self._calls.extendleft(reversed(passed_by))
        return batch

    def lost(self, batch: Sequence[TextOrder], *, blamed: bool) -> list[TextOrder]:
        """A worker died with these in hand: those that are given up; the others wait again."""
        for order in batch:
            order.losses += 1
            order.suspect = order.suspect or blamed
            # among others nobody can know whose fault it was
            order.deaths += int(blamed and len(batch) == 1)
        again = [order for order in batch if not order.lost_cause]
        self.waiting_chars += sum(len(order.text) for order in again)
        self._suspects.extend(order for order in again if order.suspect)
        innocent = deque(order for order in again if not order.suspect)
        if innocent:
            self._calls.appendleft(innocent)
        return [order for order in batch if order.lost_cause]
