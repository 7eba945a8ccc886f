"""The waiting segments of one class: fair between clients, earliest deadline first inside each.

Pure. Knows no other class and nothing of lost workers. Lists are kept sorted with bisect: even with
ten thousand waiting an insertion moves less memory than a cleverer structure would touch.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from voxfleet.scheduling.batcher import Length, fill, share_out
from voxfleet.scheduling.fair_share import FairShare
from voxfleet.scheduling.retries import Ticket

#: a length and a number, or a deadline and a number
_Key = tuple[float, int]
#: how many clients a batch is shared out among; a batch seldom has more places
_SHARERS = 32
#: companions come from the most urgent of the line, so many budgets of sound and so many segments
#: at the least: else an awkward length would be overtaken for as long as a crowd lasts
_FRONT_BUDGETS = 4.0
_FRONT_SEGMENTS = 64
#: and from so many clients, those who were served least
_FRONT_CLIENTS = 32


class ClassLine:
    """Tickets are known by a number that grows with each arrival."""

    def __init__(self, length_ratio: float) -> None:
        self._length_ratio = length_ratio
        self._waiting: dict[int, Ticket] = {}
        #: per client (deadline, number): first the most urgent, then who came first
        self._by_deadline: dict[str, list[tuple[float, int]]] = {}
        self._shares = FairShare()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, number: int, ticket: Ticket) -> None:
        client = ticket.client
        if client not in self._by_deadline:
            self._by_deadline[client] = []
            self._shares.arrive(client)
        self._waiting[number] = ticket
        insort(self._by_deadline[client], (ticket.deadline_s, number))

    def remove(self, number: int) -> Ticket:
        ticket = self._waiting.pop(number)
        client = ticket.client
        _drop(self._by_deadline[client], (ticket.deadline_s, number))
        if not self._by_deadline[client]:
            del self._by_deadline[client]
            self._shares.leave(client)
        return ticket

    def head(self) -> Ticket:
        return self._waiting[self._head()]

    def take(self, budget_s: float) -> list[Ticket]:
        """The next batch, its head first, then in the order of arrival."""
        head = self._head()
        length = _length(head, self._waiting[head])
        chosen = self._choose(length, budget_s)
        numbers = sorted(-unique for _, unique in chosen if -unique != head)
        self._shares.serve(length[0], self._shares_s(chosen))
        return [self.remove(number) for number in (head, *numbers)]

    def before(self, number: int) -> int:
        """About how many leave earlier: who shares with a client sends one for each of its own."""
        ticket = self._waiting[number]
        own = bisect_left(self._by_deadline[ticket.client], (ticket.deadline_s, number))
        first = set(self._shares.ahead_of(ticket.client))
        others = (
            min(len(line), own + int(client in first))
            for client, line in self._by_deadline.items()
            if client != ticket.client
        )
        return own + sum(others)

    def _choose(self, head: Length, budget_s: float) -> Sequence[Length]:
        turns = self._shares.turns(_FRONT_CLIENTS)
        fronts = self._fronts([client for _, _, client in turns], budget_s)
        candidates = sorted(each for front in fronts.values() for each in front)
        batch = fill(head, candidates, budget_s, self._length_ratio)
        if len(batch) == 1 or len(turns) == 1:
            return batch
        return share_out(batch, head, turns[:_SHARERS], fronts)

    def _fronts(self, clients: Sequence[str], budget_s: float) -> dict[str, list[Length]]:
        """Of each client its part of the front, by length; the head is among them."""
        sound_s = _FRONT_BUDGETS * budget_s / len(clients)
        least = _FRONT_SEGMENTS // len(clients)
        return {client: self._front(client, sound_s, least) for client in clients}

    def _front(self, client: str, sound_s: float, least: int) -> list[Length]:
        """The most urgent of a client, so much sound and so many, by length."""
        front: list[Length] = []
        for _, number in self._by_deadline[client]:
            front.append(_length(number, self._waiting[number]))
            sound_s -= front[-1][0]
            if sound_s <= 0 and len(front) >= least:
                break
        return sorted(front)

    def _head(self) -> int:
        return self._by_deadline[self._shares.next_client][0][1]

    def _shares_s(self, chosen: Iterable[Length]) -> dict[str, float]:
        shares_s: dict[str, float] = {}
        for length_s, unique in chosen:
            client = self._waiting[-unique].client
            shares_s[client] = shares_s.get(client, 0.0) + length_s
        return shares_s


def _drop(line: list[_Key], key: _Key) -> None:
    del line[bisect_left(line, key)]


def _length(number: int, ticket: Ticket) -> Length:
    """Negative, so that of equally long ones the batcher prefers who came first."""
    return ticket.segment.duration_s, -number
