"""Measures how long live speech waits while hour-long files and short ones are computed beside it.

The mix and the cost model are those of a published simulation of schedulers: padded seconds at
400 a second after 20 ms, of which 85 % count as what lengths of 1-30 s leave after padding. No HTTP
and no decoding: the dispatcher of this process, and real worker processes that sleep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.fleet_goal import Goal, percentile
from bench.fleet_rig import SEED, Rig, fleet_rig
from voxfleet.core import WorkClass
from voxfleet.engines.fake_options import FakeOptions

WORKERS = 2
FAKE = FakeOptions(speed=400.0, fixed_s=0.02)
LOAD = 0.9
GOAL_S = 0.5
#: of a device's time, what padding leaves for sound, in the definition of load
_USEFUL = 0.85
_REALTIME_SHARE, _INTERACTIVE_SHARE, _FILE_SHARE = 0.3, 0.4, 0.3
_FILE_SEGMENTS = 140
#: as the pipeline does
_IN_FLIGHT_OF_A_FILE = 32
_INTERACTIVE_CLIENTS = 8
_MEAN_REALTIME_S, _MEAN_FILE_S = 4.5, _FILE_SEGMENTS * 25.0
_WARM_UP_S = 5.0


def print_parameters(seconds: float) -> None:
    print(
        f"realtime: {WORKERS} workers, {FAKE.fixed_s:g} s + padded seconds/{FAKE.speed:g}, sound at"
        f" {LOAD:g} x {_USEFUL:g} x {FAKE.speed:g} x {WORKERS} a second: {_REALTIME_SHARE:.0%}"
        f" realtime of 1-8 s and {_INTERACTIVE_SHARE:.0%} interactive (lognormal 1.6, 0.8, 1-30 s)"
        f" of {_INTERACTIVE_CLIENTS} clients, both Poisson; {_FILE_SHARE:.0%} hour-long files of"
        f" {_FILE_SEGMENTS} segments of 20-30 s, {_IN_FLIGHT_OF_A_FILE} of each in flight;"
        f" {seconds:g} s; in a full run, then the same with files always there"
    )


@dataclass(slots=True)
class Waits:
    """How long the segments of each class took, and of how many files the last one is done."""

    realtime: list[float] = field(default_factory=list)
    interactive: list[float] = field(default_factory=list)
    files: int = 0


class Mix:
    def __init__(self, rig: Rig, *, always_a_file: bool) -> None:
        self._rig = rig
        self._always_a_file = always_a_file
        self._random = np.random.default_rng(SEED)
        # a stream of its own for each: what comes live is the same whatever else is asked for
        self._live = np.random.default_rng(SEED + 1)
        self._short = np.random.default_rng(SEED + 2)
        self.waits = Waits()
        self._now_s = asyncio.get_running_loop().time

    async def run(self, seconds: float) -> None:
        """Returns when the time is over; what is not answered by then is not waited for."""
        sound_s = LOAD * _USEFUL * FAKE.speed * WORKERS
        mean_short_s = float(np.mean([self._short_s() for _ in range(10_000)]))
        sources = (
            self._arrivals(_REALTIME_SHARE * sound_s / _MEAN_REALTIME_S, self._live, self._speak),
            self._arrivals(_INTERACTIVE_SHARE * sound_s / mean_short_s, self._short, self._send),
            self._files(_MEAN_FILE_S / (_FILE_SHARE * sound_s)),
        )
        tasks = [asyncio.create_task(source) for source in sources]
        done, _ = await asyncio.wait(tasks, timeout=_WARM_UP_S, return_when=asyncio.FIRST_EXCEPTION)
        self.waits = Waits()
        if not done:
            done, _ = await asyncio.wait(
                tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION
            )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _arrivals(
        self, a_second: float, random: np.random.Generator, ask: Callable[[], Awaitable[None]]
    ) -> None:
        due_s = self._now_s()
        async with asyncio.TaskGroup() as asked:
            while True:
                due_s += float(random.exponential(1 / a_second))
                await asyncio.sleep(max(0.0, due_s - self._now_s()))
                asked.create_task(_awaited(ask()))

    async def _speak(self) -> None:
        duration_s = float(self._live.uniform(1, 8))
        self.waits.realtime.append(await self._ask(duration_s, WorkClass.REALTIME, "live"))

    async def _send(self) -> None:
        client = f"c{self._short.integers(_INTERACTIVE_CLIENTS)}"
        took_s = await self._ask(self._short_s(), WorkClass.INTERACTIVE, client)
        self.waits.interactive.append(took_s)

    def _short_s(self) -> float:
        return float(np.clip(self._short.lognormal(1.6, 0.8), 1, 30))

    async def _ask(self, duration_s: float, work_class: WorkClass, client: str) -> float:
        began_s = self._now_s()
        segment = self._rig.sound.segment(duration_s)
        await self._rig.dispatcher.recognise(segment, work_class, client)
        return self._now_s() - began_s

    async def _files(self, every_s: float) -> None:
        """One at once, then evenly; or two at any time, the next as soon as one is done."""
        async with asyncio.TaskGroup() as asked:
            if self._always_a_file:
                asked.create_task(self._file_after_file("archive-a"))
                asked.create_task(self._file_after_file("archive-b"))
                return
            while True:
                asked.create_task(self._file("archive"))
                await asyncio.sleep(every_s)

    async def _file_after_file(self, client: str) -> None:
        while True:
            await self._file(client)

    async def _file(self, client: str) -> None:
        slots = asyncio.Semaphore(_IN_FLIGHT_OF_A_FILE)

        async def piece(duration_s: float) -> None:
            async with slots:
                await self._ask(duration_s, WorkClass.BATCH, client)

        lengths = self._random.uniform(20, 30, _FILE_SEGMENTS)
        await asyncio.gather(*(piece(float(length)) for length in lengths))
        self.waits.files += 1


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def realtime(seconds: float, *, always_a_file: bool) -> list[Goal]:
    """At the load; where `always_a_file`, then again with files that never end."""
    goals = await _measured(seconds, always_a_file=False)
    return goals + (await _measured(seconds, always_a_file=True) if always_a_file else [])


async def _measured(seconds: float, *, always_a_file: bool) -> list[Goal]:
    async with fleet_rig(WORKERS, FAKE, 1.0, 30.0) as rig:
        mix = Mix(rig, always_a_file=always_a_file)
        await mix.run(seconds)
        ended_s = asyncio.get_running_loop().time()
        batches = [b for b in rig.travelled if b.ended_s > ended_s - seconds]
    busy = sum(batch.compute_s for batch in batches) / (seconds * WORKERS)
    sound_s = sum(batch.audio_s for batch in batches) / seconds
    waits = mix.waits
    p99_s = percentile(waits.realtime, 0.99)
    how = "files always queued" if always_a_file else f"load {LOAD:g}"
    return [
        Goal(
            f"realtime p99, {how}",
            f"< {GOAL_S:g} s",
            f"{p99_s:.3f} s (p50 {percentile(waits.realtime, 0.5):.3f}, {len(waits.realtime)}"
            f" segments, {_within(waits.realtime):.1%} in time)",
            p99_s < GOAL_S,
        ),
        Goal(
            "  beside it",
            "",
            f"interactive p50 {percentile(waits.interactive, 0.5):.2f} s, p99"
            f" {percentile(waits.interactive, 0.99):.2f} s; {waits.files} files done;"
            f" {sound_s:.0f} audio s/s; workers {busy:.0%} busy",
        ),
    ]


def _within(waits_s: Sequence[float]) -> float:
    return _share(wait_s < GOAL_S for wait_s in waits_s)


def _share(each: Iterable[bool]) -> float:
    all_of_them = list(each)
    return sum(all_of_them) / max(1, len(all_of_them))
