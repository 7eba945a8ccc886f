"""Measures a server that is asked for three times what it can do, over HTTP.

Capacity is what its workers do when none of them ever waits: their own accounts of sound and of
computing time, while so many clients ask again and again that the queue is long and nobody is
refused. Each request is one short recording, so that it is one segment; the engine is slow enough
that the machine is not the limit. Refused clients do not come back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.bench_server import started_server
from bench.fleet_goal import Goal, percentile
from bench.fleet_load import Answered, Crowd, recordings, with_crowd

WORKERS = 2
SPEED = 25.0
FIXED_S = 0.02
LEAST_S, MOST_S = 2.0, 6.0
_MEAN_S = (LEAST_S + MOST_S) / 2
OVERLOAD = 3.0
GOODPUT = 0.95
#: of all that is offered, so much may be sent late before the load was not the one meant
_LATE_S = 1.0
#: the server lets so many in before it has measured anything
_FIRST = 20
_FIRST_S = 8.0
#: how long the queue is while capacity is measured, of the longest that anybody is let in to
_SATURATED_SHARE = 2 / 3
SETTINGS = {
    "VOXFLEET_INSTANCES": str(WORKERS),
    "VOXFLEET_FAKE__SPEED": str(SPEED),
    "VOXFLEET_FAKE__FIXED_S": str(FIXED_S),
    "VOXFLEET_AUDIO__VAD": "off",
}


@dataclass(frozen=True, slots=True)
class Flood:
    """`max_wait_s` is the server's `queue.max_wait_s`; its deadline is twice that."""

    seconds: float
    saturated_s: float
    max_wait_s: float

    @property
    def deadline_s(self) -> float:
        return 2 * self.max_wait_s

    @property
    def saturating(self) -> int:
        """Clients who ask again and again."""
        return round(_SATURATED_SHARE * self.max_wait_s * WORKERS * SPEED / _MEAN_S)

    @property
    def settings(self) -> dict[str, str]:
        return {
            **SETTINGS,
            "VOXFLEET_QUEUE__MAX_WAIT_S": str(self.max_wait_s),
            "VOXFLEET_SERVER__REQUEST_TIMEOUT_S": str(self.deadline_s),
        }


def print_parameters(flood: Flood) -> None:
    print(
        f"overload: {WORKERS} workers, {FIXED_S:g} s + padded seconds/{SPEED:g}; Poisson arrivals"
        f" at {OVERLOAD:g} x capacity for {flood.seconds:g} s, {LEAST_S:g}-{MOST_S:g} s each;"
        f" queue.max_wait_s {flood.max_wait_s:g}, deadline {flood.deadline_s:g} s; capacity by the"
        f" workers' accounts while {flood.saturating} clients asked again and again for"
        f" {flood.saturated_s:g} s just before"
    )


async def overload(flood: Flood) -> list[Goal]:
    sounds = recordings(LEAST_S, MOST_S)
    capacities: list[float] = []
    with started_server(flood.settings) as (address, _):

        async def saturate(crowd: Crowd) -> None:
            await crowd.closed(_FIRST, _FIRST_S)
            capacities.append(await _saturated(crowd, flood))

        before = await with_crowd(address, sounds, saturate)
        capacity = capacities[0]

        async def drown(crowd: Crowd) -> None:
            await crowd.poisson(OVERLOAD * capacity / _MEAN_S, flood.seconds)

        during = await with_crowd(address, sounds, drown)
    return _judged(before, during, capacity, flood)


async def _saturated(crowd: Crowd, flood: Flood) -> float:
    """Audio seconds a second of all workers together; the first quarter fills the queue."""
    seconds = flood.saturated_s
    asking = asyncio.create_task(crowd.closed(flood.saturating, seconds))
    await asyncio.sleep(seconds / 4)
    first = await crowd.worked()
    await asyncio.sleep(seconds * 3 / 4)
    last = await crowd.worked()
    await asking
    return sum(
        (after.audio_s - before.audio_s) / (after.compute_s - before.compute_s)
        for before, after in zip(first, last, strict=True)
    )


def _goodput(ended: Sequence[Answered], seconds: float) -> float:
    """Audio seconds answered a second, from the first request on."""
    began_s = min(each.sent_s for each in ended)
    return sum(e.audio_s for e in ended if e.answered and e.ended_s - began_s < seconds) / seconds


def _judged(
    before: Sequence[Answered], during: Sequence[Answered], capacity: float, flood: Flood
) -> list[Goal]:
    statuses = Counter(each.status for each in during)
    refused = [each for each in during if each.status == 503]
    silent = sum(not each.retry_after for each in refused)
    slowest_s = max((each.took_s for each in during if each.status != 503), default=0.0)
    goodput = _goodput(during, flood.seconds)
    others = sorted(set(statuses) - {200, 503})
    faults = Counter(each.fault for each in during if each.fault)
    for fault, times in faults.most_common(3):
        print(f"overload: {times} x {fault[:200]}")
    late_s = percentile([each.late_s for each in during], 0.99)
    if late_s > _LATE_S:
        print(f"overload: 1 % of the requests were sent more than {late_s:.1f} s late")
    answered = [each.took_s for each in during if each.answered]
    told = [float(each.retry_after) for each in refused if each.retry_after]
    return [
        Goal(
            f"{OVERLOAD:g} x overload: statuses",
            "200 and 503",
            ", ".join(f"{n} x {status}" for status, n in sorted(statuses.items())),
            not others and all(each.answered for each in before),
        ),
        Goal("  503 without Retry-After", "0", str(silent), silent == 0),
        Goal("  Retry-After, median", "", f"{percentile(told, 0.5):g} s"),
        Goal("  503 answered within, p99", "", _ms([each.took_s for each in refused])),
        Goal(
            "  slowest accepted request, 504 included",
            f"<= {flood.deadline_s:g} s",
            f"{slowest_s:.1f} s",
            slowest_s <= flood.deadline_s,
        ),
        Goal(
            "  accepted requests, p50, p99",
            "",
            f"{percentile(answered, 0.5):.1f} s, {percentile(answered, 0.99):.1f} s",
        ),
        Goal(
            "  goodput, share of capacity",
            f">= {GOODPUT:.0%}",
            f"{goodput / capacity:.1%} ({goodput:.1f} of {capacity:.1f} audio s/s)",
            goodput / capacity >= GOODPUT,
        ),
        Goal(
            "  goodput, share of workers x speed",
            "",
            f"{goodput / (WORKERS * SPEED):.1%} of {WORKERS * SPEED:g} audio s/s",
        ),
    ]


def _ms(times_s: Sequence[float]) -> str:
    return f"{1000 * percentile(times_s, 0.99):.0f} ms"
