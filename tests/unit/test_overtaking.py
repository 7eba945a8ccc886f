"""Under a lasting crowd nobody is overtaken for ever, whatever the length of its sound."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from voxfleet.core import SAMPLE_RATE_HZ, SpooledSegment, WorkClass
from voxfleet.scheduling.queue import SegmentQueue
from voxfleet.scheduling.retries import Ticket

BUDGET_S = 60.0
BACKLOG = 400
BATCHES = 1500


def newcomer(number: int, clients: int, chance: random.Random) -> Ticket:
    samples = int(chance.uniform(2, 6) * SAMPLE_RATE_HZ)
    segment = SpooledSegment(f"s{number}", Path("s"), 0.0, samples)
    return Ticket(segment, WorkClass.INTERACTIVE, client=f"c{chance.randrange(clients)}")


def longest_wait(clients: int) -> float:
    """In turns of the whole queue: 1 is what first come, first served would give.

    Of several clients one that happens to have more waiting than the others waits longer by right.
    """
    chance = random.Random(7)  # noqa: S311 (no secret)
    queue = SegmentQueue()
    came: dict[str, int] = {}
    waits: list[int] = []
    taken = number = 0
    for batch in range(BATCHES):
        while len(queue) < BACKLOG:
            ticket = newcomer(number, clients, chance)
            queue.add(ticket)
            came[ticket.segment.id] = batch
            number += 1
        for ticket in queue.take(BUDGET_S):
            waits.append(batch - came.pop(ticket.segment.id))
            taken += 1
    # who still waits has waited at least so long
    waits += [BATCHES - since for since in came.values()]
    batches_a_turn = BACKLOG / (taken / BATCHES)
    return max(waits) / batches_a_turn


@pytest.mark.parametrize(("clients", "most"), [(1, 2.0), (8, 5.0)])
def test_nobody_waits_for_many_turns_of_the_queue(clients: int, most: float) -> None:
    assert longest_wait(clients) < most
