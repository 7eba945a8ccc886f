"""Which segments travel with the head of a line, and how much a batch may hold. Pure.

Knows lengths and budgets; nothing of clients, classes and workers. A batch is padded to its
longest segment, so companions are chosen by length: it is the largest lever on throughput.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from voxfleet.pool_contract import TimeModel

#: a segment as the batcher sees it: its length in seconds, and a number that makes it unique
Length = tuple[float, int]
#: whose turn it is: seconds served, tie-break, client
Turn = tuple[float, int, str]

#: of realtime's latency goal, what a batch of others may take: the rest is for its own batch
BLOCKING_SHARE = 0.5
#: a companion chosen for its client's sake is at least so long, measured by the longest
CLOSE = 0.9


def fill(
    head: Length, by_length: Sequence[Length], budget_s: float, ratio: float
) -> tuple[Length, ...]:
    """The head and the companions, out of a sorted line it is in, that bring most sound.

    Most sound within the budget is what fills it and pads little, both at once. For any number of
    segments that is the longest ones of which so many fit; so there is one candidate per number.
    The head travels even where it exceeds the budget.
    """
    head_s = head[0]
    at = bisect_left(by_length, head)
    first = bisect_left(by_length, (head_s / ratio, -math.inf), 0, at)
    end = bisect_right(by_length, (head_s * ratio, math.inf), at)
    best: Sequence[Length] = (head,)
    best_s = head_s
    for size in range(_most(head_s, budget_s, end - first), 1, -1):
        stop = _stop(by_length, at, end, budget_s, size)
        batch = _longest(by_length, at, max(first, stop - size), stop)
        batch_s = sum([length_s for length_s, _ in batch])
        if batch_s > best_s:
            best, best_s = batch, batch_s
        if stop == end:
            # nothing longer is to be had for a smaller number
            break
    return tuple(best)


def _most(head_s: float, budget_s: float, available: int) -> int:
    """How many can travel at most: all of them, or as many as fit were all as long as the head."""
    return available if head_s * available <= budget_s else int(budget_s // head_s)


def _stop(by_length: Sequence[Length], at: int, end: int, budget_s: float, size: int) -> int:
    """The end of those short enough that `size` of them fit into the budget."""
    stop = bisect_right(by_length, (budget_s / size, math.inf), at + 1, end)
    while stop > at + 1 and size * by_length[stop - 1][0] > budget_s:
        stop -= 1  # the division was rounded up
    return stop


def _longest(by_length: Sequence[Length], at: int, start: int, stop: int) -> Sequence[Length]:
    """Those from `start` to `stop`; a head that is shorter than all of them replaces the first."""
    if start <= at:
        return by_length[start:stop]
    return (by_length[at], *by_length[start + 1 : stop])


def share_out(
    batch: Sequence[Length],
    head: Length,
    turns: Sequence[Turn],
    by_length: Mapping[str, Sequence[Length]],
) -> list[Length]:
    """The same number of segments, none longer, with places given to clients in turn.

    By length alone, companions would come from whoever has most waiting. `turns` are the clients to
    think of, the head's first. Places that none of them can use well stay with those of the batch.
    """
    longest_s = max(length_s for length_s, _ in batch)
    shared = [head, *_in_turn(len(batch) - 1, head, turns, by_length, longest_s)]
    known = set(shared)
    rest = [each for each in reversed(batch) if each not in known]
    return shared + rest[: len(batch) - len(shared)]


def _in_turn(
    places: int,
    head: Length,
    turns: Sequence[Turn],
    by_length: Mapping[str, Sequence[Length]],
    longest_s: float,
) -> list[Length]:
    """Each place goes to the client that has had least, with what this batch gives it counted."""
    served_s, tie, first = turns[0]
    heap: list[Turn] = [(served_s + head[0], tie, first), *turns[1:]]
    heapify(heap)
    stops = {each: bisect_right(by_length[each], (longest_s, math.inf)) for _, _, each in turns}
    found: list[Length] = []
    while heap and len(found) < places:
        served_s, tie, client = heappop(heap)
        line, at = by_length[client], stops[client] - 1
        if at >= 0 and line[at] == head:
            at -= 1
        if at >= 0 and line[at][0] >= CLOSE * longest_s:
            stops[client] = at
            found.append(line[at])
            heappush(heap, (served_s + line[at][0], tie, client))
    return found


def realtime_cap_s(pace: TimeModel | None, goal_s: float) -> float:
    """The padded seconds that block a worker no longer than realtime's goal allows."""
    limit_s = goal_s * BLOCKING_SHARE
    if pace is None:
        return math.inf
    if pace.per_padded_s <= 0:
        return math.inf if pace.fixed_s <= limit_s else 0.0
    return pace.padded_within_s(limit_s)


def budget_s(
    credit_s: float, pace: TimeModel | None, realtime_active: bool, goal_s: float
) -> float:
    """What the next batch may hold: the worker's credit, less while somebody speaks live."""
    return min(credit_s, realtime_cap_s(pace, goal_s)) if realtime_active else credit_s
