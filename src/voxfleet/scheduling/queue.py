"""Segments that wait for a worker, and which of them travel next. Pure: no clock, no await.

Knows nothing of workers but the padded seconds on offer. What was lost with a worker goes first,
in the groups it comes back in; then classes in their order, batch work with a share of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from itertools import count

from voxfleet.core import SAMPLE_RATE_HZ, WorkClass, padded_duration_s
from voxfleet.scheduling.class_line import ClassLine
from voxfleet.scheduling.fair_share import BATCH_SHARE, GuaranteedShare
from voxfleet.scheduling.retries import Ticket

_PRECEDENCE = tuple(WorkClass)
#: how many segments of other classes may go before each of batch work
_OTHERS_PER_BATCH = round((1 - BATCH_SHARE) / BATCH_SHARE)


class SegmentQueue:
    """`length_ratio` is how unlike the head's length a companion's may be."""

    def __init__(self, length_ratio: float = 2.0) -> None:
        self._lines = {each: ClassLine(length_ratio) for each in _PRECEDENCE}
        self._batch_share = GuaranteedShare()
        #: what came back, by group, in the order of return
        self._groups: dict[int, dict[int, Ticket]] = {}
        #: where a ticket is: its number and its group, 0 for none
        self._places: dict[str, tuple[int, int]] = {}
        self._tickets: dict[int, Ticket] = {}
        #: (deadline, number) of all that have one
        self._deadlines: list[tuple[float, int]] = []
        self._waiting_samples = 0
        self._waiting_of: Counter[WorkClass] = Counter()
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def waiting_s(self) -> float:
        return self._waiting_samples / SAMPLE_RATE_HZ

    def waiting_of(self, work_class: WorkClass) -> int:
        return self._waiting_of[work_class]

    def add(self, ticket: Ticket) -> None:
        number = self._note(ticket, 0)
        self._lines[ticket.work_class].add(number, ticket)

    def put_back(self, groups: Sequence[Sequence[Ticket]]) -> None:
        """Groups go before all others, each as one batch exactly: they have waited already."""
        for tickets in groups:
            group = next(self._numbers)
            members = {self._note(ticket, group): ticket for ticket in tickets}
            if members:
                self._groups[group] = members

    def cancel(self, segment_id: str) -> None:
        if segment_id in self._places:
            self._remove(segment_id)

    def head(self) -> Ticket | None:
        """The first of the next batch; it names the workers to avoid."""
        if self._groups:
            return next(iter(self._first_group().values()))
        work_class = self._next_class()
        return self._lines[work_class].head() if work_class else None

    def take(self, budget_s: float) -> list[Ticket]:
        """The next batch; a group, and a head of any length, may exceed the budget."""
        if self._groups:
            members = self._first_group()
            del self._groups[next(iter(self._groups))]
            return self._gone(list(members.values()))
        work_class = self._next_class()
        if work_class is None:
            return []
        tickets = self._lines[work_class].take(budget_s)
        self._account(work_class, padded_duration_s([ticket.segment for ticket in tickets]))
        return self._gone(tickets)

    def take_all(self) -> list[Ticket]:
        everything = list(self._tickets.values())
        for ticket in everything:
            self._remove(ticket.segment.id)
        return everything

    def expire(self, now_s: float) -> list[Ticket]:
        """Take out those whose deadline has passed, the longest past first."""
        passed = self._deadlines[: bisect_left(self._deadlines, (now_s, math.inf))]
        return [self._remove(self._tickets[number].segment.id) for _, number in passed]

    def place(self, segment_id: str) -> int | None:
        """About how many segments go before this one; 0 is next, None is not waiting."""
        if segment_id not in self._places:
            return None
        number, group = self._places[segment_id]
        head = self.head()
        if head is not None and head.segment.id == segment_id:
            return 0
        if group:
            return self._before_group(group) + list(self._groups[group]).index(number)
        return self._before_group(None) + self._before_in_lines(number)

    def _before_group(self, group: int | None) -> int:
        """How many are in the groups before that one; before None are all."""
        before = 0
        for each, members in self._groups.items():
            if each == group:
                break
            before += len(members)
        return before

    def _before_in_lines(self, number: int) -> int:
        work_class = self._tickets[number].work_class
        own = self._lines[work_class].before(number)
        higher = _PRECEDENCE[: _PRECEDENCE.index(work_class)]
        others = sum(len(self._lines[each]) for each in higher)
        if work_class is WorkClass.BATCH:
            others = min(others, _OTHERS_PER_BATCH * (own + 1))
        return own + others

    def _first_group(self) -> dict[int, Ticket]:
        return next(iter(self._groups.values()))

    def _next_class(self) -> WorkClass | None:
        if self._lines[WorkClass.BATCH] and self._batch_share.due:
            return WorkClass.BATCH
        return next((each for each in _PRECEDENCE if self._lines[each]), None)

    def _account(self, work_class: WorkClass, padded_s: float) -> None:
        """Batch work that travels while nobody else waits takes nothing from anybody."""
        if work_class is not WorkClass.BATCH:
            self._batch_share.passed_over(padded_s)
        elif any(self._lines[each] for each in _PRECEDENCE if each is not WorkClass.BATCH):
            self._batch_share.served(padded_s)
        if not self._lines[WorkClass.BATCH]:
            self._batch_share.nobody_waits()

    def _note(self, ticket: Ticket, group: int) -> int:
        if ticket.segment.id in self._places:
            raise ValueError(f"segment {ticket.segment.id} waits already")
        number = next(self._numbers)
        self._places[ticket.segment.id] = (number, group)
        self._tickets[number] = ticket
        if ticket.deadline_s < math.inf:
            insort(self._deadlines, (ticket.deadline_s, number))
        self._waiting_samples += ticket.segment.sample_count
        self._waiting_of[ticket.work_class] += 1
        return number

    def _remove(self, segment_id: str) -> Ticket:
        number, group = self._places[segment_id]
        ticket = self._tickets[number]
        if not group:
            self._lines[ticket.work_class].remove(number)
            if not self._lines[WorkClass.BATCH]:
                self._batch_share.nobody_waits()
        else:
            del self._groups[group][number]
            if not self._groups[group]:
                del self._groups[group]
        self._gone([ticket])
        return ticket

    def _gone(self, tickets: list[Ticket]) -> list[Ticket]:
        """Forget what has left its line or group."""
        for ticket in tickets:
            number, _ = self._places.pop(ticket.segment.id)
            del self._tickets[number]
            if ticket.deadline_s < math.inf:
                del self._deadlines[bisect_left(self._deadlines, (ticket.deadline_s, number))]
            self._waiting_samples -= ticket.segment.sample_count
            self._waiting_of[ticket.work_class] -= 1
        return tickets
