"""What becomes of segments whose worker was lost: another try, in smaller company, or an end.

Pure. Knows no queue, no worker and no clock. A batch that was lost is split until whoever kills
travels alone; blame counts only there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from voxfleet.core import SpooledSegment, WorkClass
from voxfleet.errors import PoisonError, VoxfleetError, WorkerLostError

#: lost workers after which a segment is given up, whoever was to blame: one run and five more
MAX_LOSSES = 6
#: lost workers that held nothing else and died of it: then the segment itself is to blame
MAX_SOLO_LOSSES = 2
#: the largest part of a lost batch: 8, 4, 2, 1, 1 are the five more runs that a killer has
MAX_PART = 8


@dataclass(frozen=True, slots=True)
class Ticket:
    """One waiting segment, whose it is, and what has happened to it so far.

    `deadline_s` is a moment of the monotonic clock.
    """

    segment: SpooledSegment
    work_class: WorkClass
    client: str = ""
    deadline_s: float = math.inf
    losses: int = 0
    solo_losses: int = 0
    avoid: frozenset[str] = frozenset()

    @property
    def suspect(self) -> bool:
        return self.losses > 0


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`again` are groups, each to travel as one batch of its own; `failed` end with their error."""

    again: tuple[tuple[Ticket, ...], ...]
    failed: tuple[tuple[Ticket, VoxfleetError], ...]


def after_loss(tickets: Sequence[Ticket], worker_id: str, loss: WorkerLostError) -> Aftermath:
    """`tickets` is all that travelled, also those nobody waits for: who was alone depends on it."""
    alone = len(tickets) == 1
    again: list[Ticket] = []
    failed: list[tuple[Ticket, VoxfleetError]] = []
    for ticket in tickets:
        marked = replace(
            ticket,
            losses=ticket.losses + 1,
            solo_losses=ticket.solo_losses + int(alone and loss.blames_work),
            avoid=ticket.avoid | {worker_id},
        )
        fault = _end_of(marked, loss)
        if fault:
            failed.append((marked, fault))
        else:
            again.append(marked)
    return Aftermath(_parts(again), tuple(failed))


def _end_of(ticket: Ticket, loss: WorkerLostError) -> VoxfleetError | None:
    if ticket.solo_losses >= MAX_SOLO_LOSSES:
        return PoisonError(
            f"the sound at {ticket.segment.start_s:.1f} s ended the model's process"
            f" {ticket.solo_losses} times; leave that part out"
        )
    return loss if ticket.losses >= MAX_LOSSES else None


def _parts(tickets: Sequence[Ticket]) -> tuple[tuple[Ticket, ...], ...]:
    size = max(1, min(MAX_PART, (len(tickets) + 1) // 2))
    return tuple(tuple(tickets[at : at + size]) for at in range(0, len(tickets), size))
