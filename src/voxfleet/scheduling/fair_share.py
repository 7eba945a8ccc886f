"""Whose turn it is: between clients by what each has had, between batch work and all other work.

Pure counters of seconds. Knows no segment, no queue and no clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from itertools import count

from voxfleet.scheduling.batcher import Turn

#: what batch work gets of all that is computed, whatever else waits
BATCH_SHARE = 0.1


class FairShare:
    """Of the clients who wait, the one that has been served least is next.

    A client that comes gets at least the count of the least served one, so that nobody saves up
    for later, and at least `_floor_s`, which moves on with every turn: else an endless row of new
    clients would keep out those who were here. Who leaves is remembered until the floor reaches
    its count; who comes and goes thus has no more than a client that stays.
    """

    def __init__(self) -> None:
        #: of those who wait, the next first
        self._turns: list[Turn] = []
        self._turn_of: dict[str, Turn] = {}
        #: (seconds served, client) of those who left with more than the floor
        self._left: list[tuple[float, str]] = []
        self._left_with: dict[str, float] = {}
        self._floor_s = 0.0
        self._ties = count()

    def __len__(self) -> int:
        """The clients remembered, waiting or not."""
        return len(self._turns) + len(self._left)

    @property
    def next_client(self) -> str:
        return self._turns[0][2]

    def turns(self, most: int) -> list[Turn]:
        """The next so many clients in their order."""
        return self._turns[:most]

    def arrive(self, client: str) -> None:
        """The client has something waiting; until it leaves it need not arrive again."""
        self._raise_floor(0.0)
        served_s = self._left_with.pop(client, None)
        if served_s is not None:
            del self._left[bisect_left(self._left, (served_s, client))]
        self._enter(client, max(self._floor_s, served_s or 0.0))

    def leave(self, client: str) -> None:
        """The client has nothing waiting any more."""
        served_s = self._withdraw(client)
        if not self._turns:
            # nobody competes: what was owed is forgotten
            self._left.clear()
            self._left_with.clear()
            self._floor_s = 0.0
        elif served_s > self._floor_s:
            insort(self._left, (served_s, client))
            self._left_with[client] = served_s

    def serve(self, head_s: float, shares_s: Mapping[str, float]) -> None:
        """A batch leaves: `head_s` is of who had the turn, `shares_s` what each client has in it.

        The floor moves by the head alone: companions come as chance has it.
        """
        waiting = len(self._turns)
        for client, share_s in shares_s.items():
            self._enter(client, self._withdraw(client) + share_s)
        self._raise_floor(head_s / waiting)

    def ahead_of(self, client: str) -> list[str]:
        """Who has a turn before the client."""
        return [turn[2] for turn in self._turns[: bisect_left(self._turns, self._turn_of[client])]]

    def _enter(self, client: str, served_s: float) -> None:
        turn = (served_s, next(self._ties), client)
        self._turn_of[client] = turn
        insort(self._turns, turn)

    def _withdraw(self, client: str) -> float:
        turn = self._turn_of.pop(client)
        del self._turns[bisect_left(self._turns, turn)]
        return turn[0]

    def _raise_floor(self, by_s: float) -> None:
        least_s = self._turns[0][0] if self._turns else 0.0
        self._floor_s = max(self._floor_s + by_s, least_s)
        passed = bisect_right(self._left, self._floor_s, key=lambda left: left[0])
        for _, client in self._left[:passed]:
            del self._left_with[client]
        del self._left[:passed]


class GuaranteedShare:
    """A credit that batch work earns while it waits behind others, and pays when it passes them.

    Over any time in which both wait, batch work gets its share, give or take one batch.
    """

    def __init__(self, share: float = BATCH_SHARE) -> None:
        self._share = share
        self._credit_s = 0.0

    @property
    def due(self) -> bool:
        return self._credit_s > 0

    def passed_over(self, padded_s: float) -> None:
        """Other work was served."""
        self._credit_s += self._share * padded_s

    def served(self, padded_s: float) -> None:
        """Batch work was served before others who wait."""
        self._credit_s -= (1 - self._share) * padded_s

    def nobody_waits(self) -> None:
        """No batch work waits, so it earns nothing; what it had too much is still to be paid."""
        self._credit_s = min(self._credit_s, 0.0)
