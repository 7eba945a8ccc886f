"""Measures queue, batcher, dispatcher and pool by themselves: no HTTP and no decoding.

Segments whose files exist are asked for in this process, and computed by real worker processes
with the `fake` engine. Always as many wait as the part says: an answer brings the next question.
"""

from __future__ import annotations

import asyncio
import cProfile
import io
import pstats
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from bench.fleet_goal import Goal, percentile
from bench.fleet_rig import SEED, Rig, Travelled, fleet_rig
from voxfleet.core import WorkClass
from voxfleet.engines.fake_options import FakeOptions

CLIENTS = 8
SEGMENTS_A_SECOND = 2000.0
FILL = 0.9
PADDING_EFFICIENCY = 0.8
LEAST_BACKLOG = 200
SCALING = 3.8
#: credits start small and double: that is over by then
_WARM_UP_S = 2.0
#: one worker has computed by then what waited at first, which it chose from more freely
_TURNOVER_S = 4.0
#: an engine that computes nothing worth mentioning
_INSTANT = FakeOptions(speed=1e6)
#: an engine that sleeps, as a worker waits for its card
_SLEEPER = FakeOptions(speed=800.0, fixed_s=0.02)
#: the same, quicker: more batches in the same time
_QUICK_SLEEPER = FakeOptions(speed=4000.0, fixed_s=0.005)


@dataclass(frozen=True, slots=True)
class Spent:
    """Segments answered in a time, and processor time per segment here and in the workers."""

    segments: int
    took_s: float
    own_ms: float
    workers_ms: float


def print_throughput(seconds: float) -> None:
    print(
        f"throughput: 4 workers, speed {_INSTANT.speed:g}, segments of 1-2 s (workers read and hash"
        f" them on the same cores), 1,000 at once of {CLIENTS} clients, median of 3 x {seconds:g} s"
    )


def print_batches() -> None:
    print(
        f"batches: 2 workers, {_QUICK_SLEEPER.fixed_s:g} s + padded seconds/"
        f"{_QUICK_SLEEPER.speed:g}, 1-30 s uniform, backlog of at least {LEAST_BACKLOG}"
    )


def print_scaling(seconds: float) -> None:
    print(
        f"scaling: 1 and 4 workers, {_SLEEPER.fixed_s:g} s + padded seconds/{_SLEEPER.speed:g},"
        f" 1-30 s uniform, {LEAST_BACKLOG} at once, {seconds:g} s each"
    )


class Askers:
    """So many segments at once, for as long as it is open."""

    def __init__(self, rig: Rig, at_once: int, least_s: float, most_s: float, clients: int) -> None:
        self._rig = rig
        self._random = np.random.default_rng(SEED)
        self._bounds_s = (least_s, most_s)
        self._clients = [f"c{number % clients}" for number in range(at_once)]
        self._tasks: list[asyncio.Task[None]] = []

    async def _ask_for_ever(self, client: str) -> None:
        while True:
            segment = self._rig.sound.segment(float(self._random.uniform(*self._bounds_s)))
            await self._rig.dispatcher.recognise(segment, WorkClass.INTERACTIVE, client)

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(self._ask_for_ever(each)) for each in self._clients]
        await asyncio.sleep(_WARM_UP_S)

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in outcomes:
            if not isinstance(outcome, asyncio.CancelledError):
                raise SystemExit(f"a segment was not answered: {outcome!r}")


# -- segments a second ------------------------------------------------------------------------


async def segments_a_second(seconds: float, profile: bool) -> list[Goal]:
    async with fleet_rig(4, _INSTANT, 1.0, 2.0) as rig, Askers(rig, 1000, 1.0, 2.0, CLIENTS):
        runs = [await _spend(rig, seconds) for _ in range(3)]
        if profile:
            await _profiled(seconds)
    rates = sorted(run.segments / run.took_s for run in runs)
    runs.sort(key=lambda run: run.own_ms)
    median = runs[len(runs) // 2]
    return [
        Goal(
            "segments/s through queue, batcher, dispatcher, pool",
            f">= {SEGMENTS_A_SECOND:,.0f}",
            f"{rates[1]:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})",
            rates[1] >= SEGMENTS_A_SECOND,
        ),
        Goal("  processor time a segment, this process", "", f"{median.own_ms:.3f} ms"),
        Goal("  processor time a segment, the 4 workers", "", f"{median.workers_ms:.3f} ms"),
    ]


async def _spend(rig: Rig, seconds: float) -> Spent:
    workers = [psutil.Process(pid) for pid in rig.worker_pids()]
    began = len(rig.travelled)
    began_s, began_own_s = time.perf_counter(), time.process_time()
    began_workers_s = _processor_s(workers)
    await asyncio.sleep(seconds)
    took_s = time.perf_counter() - began_s
    own_s = time.process_time() - began_own_s
    workers_s = _processor_s(workers) - began_workers_s
    segments = sum(batch.segments for batch in rig.travelled[began:])
    return Spent(segments, took_s, 1000 * own_s / segments, 1000 * workers_s / segments)


def _processor_s(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (p.cpu_times() for p in processes))


async def _profiled(seconds: float) -> None:
    """Where this process spends its time, by its own functions."""
    profiler = cProfile.Profile()
    profiler.enable()
    await asyncio.sleep(seconds)
    profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(25)
    print(text.getvalue())


# -- batches ----------------------------------------------------------------------------------


async def batches(seconds: float) -> list[Goal]:
    goals: list[Goal] = []
    for clients in (1, CLIENTS):
        async with (
            fleet_rig(2, _QUICK_SLEEPER, 1.0, 30.0) as rig,
            Askers(rig, LEAST_BACKLOG + 60, 1.0, 30.0, clients),
        ):
            began = len(rig.travelled)
            await asyncio.sleep(seconds)
            formed = [b for b in rig.travelled[began:] if b.backlog >= LEAST_BACKLOG]
        goals += _shape(formed, clients)
    return goals


def _shape(formed: Sequence[Travelled], clients: int) -> list[Goal]:
    fill = sum(b.padded_s for b in formed) / sum(b.credit_s for b in formed)
    efficiency = sum(b.audio_s for b in formed) / sum(b.padded_s for b in formed)
    fills = [b.padded_s / b.credit_s for b in formed]
    whose = "1 client" if clients == 1 else f"{clients} clients"
    least = percentile(fills, 0.1)
    return [
        Goal(
            f"batches' share of the budget, {whose}",
            f">= {FILL:.0%}",
            f"{fill:.1%} (10th percentile {least:.0%}, {len(formed)} batches)",
            fill >= FILL,
        ),
        Goal(
            f"padding efficiency, {whose}",
            f">= {PADDING_EFFICIENCY:g}",
            f"{efficiency:.3f}",
            efficiency >= PADDING_EFFICIENCY,
        ),
    ]


# -- scaling ----------------------------------------------------------------------------------


async def scaling(seconds: float) -> list[Goal]:
    one = await _rate(1, seconds)
    four = await _rate(4, seconds)
    return [
        Goal(
            "4 workers against 1, a sleeping engine",
            f">= {SCALING:g} x",
            f"{four / one:.2f} x ({one:,.0f} and {four:,.0f} audio s/s)",
            four / one >= SCALING,
        )
    ]


async def _rate(workers: int, seconds: float) -> float:
    """Audio seconds a second, from the end of one batch to the end of the last: whole batches."""
    async with (
        fleet_rig(workers, _SLEEPER, 1.0, 30.0) as rig,
        Askers(rig, LEAST_BACKLOG, 1.0, 30.0, CLIENTS),
    ):
        await asyncio.sleep(_TURNOVER_S)
        began = len(rig.travelled)
        await asyncio.sleep(seconds)
        batches = rig.travelled[began:]
    return sum(b.audio_s for b in batches[1:]) / (batches[-1].ended_s - batches[0].ended_s)
