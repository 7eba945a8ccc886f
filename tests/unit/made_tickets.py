"""Tickets for tests of the scheduling: a name, a length, and whatever else matters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from voxfleet.core import SAMPLE_RATE_HZ, SpooledSegment, WorkClass
from voxfleet.scheduling.queue import SegmentQueue
from voxfleet.scheduling.retries import Ticket


def ticket(
    name: str,
    duration_s: float = 5.0,
    work_class: WorkClass = WorkClass.INTERACTIVE,
    client: str = "",
    deadline_s: float = math.inf,
) -> Ticket:
    samples = int(duration_s * SAMPLE_RATE_HZ)
    segment = SpooledSegment(name, Path(name), 0.0, samples)
    return Ticket(segment, work_class, client, deadline_s)


def filled(*tickets: Ticket) -> SegmentQueue:
    queue = SegmentQueue()
    for each in tickets:
        queue.add(each)
    return queue


def names(tickets: Iterable[Ticket]) -> list[str]:
    return [each.segment.id for each in tickets]
