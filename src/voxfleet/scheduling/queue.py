"""Segments that wait for a worker, and which of them travel together. Pure: no clock, no await.

Knows nothing of workers but the padded seconds on offer. A segment whose batch died once before
travels alone afterwards, so that it can be told from its neighbours which of them kills.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from voxfleet.core import SpooledSegment, WorkClass, padded_duration_s
from voxfleet.errors import RecognitionError, VoxfleetError, WorkerLostError

#: worker deaths after which a segment is given up, whoever was to blame
MAX_LOSSES = 5
#: deaths of workers that held nothing else and died of it: then the segment itself is to blame
MAX_SOLO_LOSSES = 2

_PRECEDENCE = tuple(WorkClass)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One waiting segment, its class, and what has happened to it so far."""

    segment: SpooledSegment
    work_class: WorkClass
    losses: int = 0
    solo_losses: int = 0
    avoid: frozenset[str] = frozenset()

    @property
    def suspect(self) -> bool:
        return self.losses > 0


def after_loss(
    ticket: Ticket, worker_id: str, *, alone: bool, loss: WorkerLostError
) -> Ticket | VoxfleetError:
    """What becomes of a segment whose worker died: another try, or the error it ends with."""
    solo_losses = ticket.solo_losses + int(alone and loss.blames_work)
    if solo_losses >= MAX_SOLO_LOSSES:
        return RecognitionError(
            f"the sound at {ticket.segment.start_s:.1f} s ended the model's process"
            f" {solo_losses} times; leave that part out"
        )
    if ticket.losses + 1 >= MAX_LOSSES:
        return loss
    return replace(
        ticket,
        losses=ticket.losses + 1,
        solo_losses=solo_losses,
        avoid=ticket.avoid | {worker_id},
    )


class SegmentQueue:
    """First in, first out within a class; classes in the order of WorkClass."""

    def __init__(self, length_ratio: float = 2.0) -> None:
        #: a batch is padded to its longest segment: one this much shorter wastes the difference
        self._length_ratio = length_ratio
        self._waiting: dict[str, Ticket] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting_s(self) -> float:
        return sum(ticket.segment.duration_s for ticket in self._waiting.values())

    def add(self, ticket: Ticket) -> None:
        self._waiting[ticket.segment.id] = ticket

    def add_first(self, tickets: list[Ticket]) -> None:
        """Take back what was in work when its worker died: it has waited already."""
        self._waiting = {ticket.segment.id: ticket for ticket in tickets} | self._waiting

    def cancel(self, segment_id: str) -> None:
        self._waiting.pop(segment_id, None)

    def head(self) -> Ticket | None:
        for work_class in _PRECEDENCE:
            for ticket in self._waiting.values():
                if ticket.work_class is work_class:
                    return ticket
        return None

    def take(self, credit_s: float) -> list[Ticket]:
        """The head and what fits beside it; the head travels even where it exceeds the credit."""
        head = self.head()
        if head is None:
            return []
        batch = [head]
        if not head.suspect:
            for ticket in self._neighbours(head):
                if padded_duration_s([t.segment for t in (*batch, ticket)]) <= credit_s:
                    batch.append(ticket)
        for ticket in batch:
            del self._waiting[ticket.segment.id]
        return batch

    def take_all(self) -> list[Ticket]:
        everything = list(self._waiting.values())
        self._waiting.clear()
        return everything

    def _neighbours(self, head: Ticket) -> list[Ticket]:
        shortest = head.segment.duration_s / self._length_ratio
        longest = head.segment.duration_s * self._length_ratio
        return [
            ticket
            for ticket in self._waiting.values()
            if ticket is not head
            and ticket.work_class is head.work_class
            and not ticket.suspect
            and shortest <= ticket.segment.duration_s <= longest
        ]
