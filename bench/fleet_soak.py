"""Loads a server with everything at once for half an hour, and looks for what grows.

Short recordings, long ones, clients that leave, files that are no sound, questions for health and
instances; the memory and the descriptors of each process are read from /proc meanwhile. Prints the
slope of each kind's memory in MB an hour, by least squares, with its 95 % confidence interval.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import resource
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

from bench.bench_server import started_server
from bench.fleet_goal import print_load, print_machine
from bench.fleet_load import CLIENT_TIMEOUT_S, ROUTE, Recording, recordings

SEED = 6
SAMPLE_EVERY_S = 2.0
#: samples within so much time are one point: neighbours are too alike to count as several
POINT_S = 30.0
#: allocators and caches fill up first
WARM_UP_SHARE = 0.2
WORKERS = 3
SETTINGS = {
    "VOXFLEET_INSTANCES": str(WORKERS),
    "VOXFLEET_FAKE__SPEED": "100",
    "VOXFLEET_FAKE__FIXED_S": "0.02",
    "VOXFLEET_AUDIO__VAD": "energy",
    "VOXFLEET_LOG__LEVEL": "warning",
}
_KINDS = {"voxfleet.cli": "gateway", "voxfleet.worker": "worker", "media_process": "media"}
#: two-sided 95 % of the normal distribution; there are dozens of points
_SIGMAS = 1.96
_PAGE_BYTES = resource.getpagesize()
_FORMATS = ("json", "text", "srt", "verbose_json")


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float
    pid: int
    kind: str
    rss_mb: float
    descriptors: int


@dataclass(frozen=True, slots=True)
class Slope:
    per_hour: float
    plus_minus: float


def samples_now(root: psutil.Process, at_s: float) -> Iterator[Sample]:
    for process in (root, *root.children(recursive=True)):
        folder = Path("/proc") / str(process.pid)
        try:
            kind = _kind((folder / "cmdline").read_bytes())
            pages = int((folder / "statm").read_text().split()[1])
            descriptors = sum(1 for _ in (folder / "fd").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield Sample(at_s, process.pid, kind, pages * _PAGE_BYTES / 1e6, descriptors)


def _kind(command: bytes) -> str:
    parts = command.decode(errors="replace").split("\0")
    return next((kind for name, kind in _KINDS.items() if any(name in p for p in parts)), "other")


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """By least squares, per hour; the interval is that of independent errors."""
    if len(points) < 3:
        return Slope(math.nan, math.nan)
    at_h = np.array([at_s for at_s, _ in points]) / 3600
    value = np.array([value for _, value in points])
    centred = at_h - at_h.mean()
    spread = float(centred @ centred)
    per_hour = float(centred @ value) / spread
    left = value - value.mean() - per_hour * centred
    error = math.sqrt(float(left @ left) / (len(points) - 2) / spread)
    return Slope(per_hour, _SIGMAS * error)


def pooled(
    samples: Sequence[Sample], value: Callable[[Sample], float]
) -> list[tuple[float, float]]:
    """The mean of each stretch of time."""
    stretches: dict[int, list[float]] = {}
    for sample in samples:
        stretches.setdefault(int(sample.at_s // POINT_S), []).append(value(sample))
    return [
        ((number + 0.5) * POINT_S, sum(values) / len(values))
        for number, values in sorted(stretches.items())
    ]


class Load:
    """All kinds of clients until the time is over; what came of them is counted."""

    def __init__(self, client: httpx.AsyncClient, end_s: float) -> None:
        self._client = client
        self._end_s = end_s
        self._random = np.random.default_rng(SEED)
        self._short = recordings(1.0, 20.0)
        self._long = recordings(120.0, 240.0)[:4]
        self.answers: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.audio_s = 0.0

    async def run(self) -> None:
        await asyncio.gather(
            *(self._for_ever(self._send_short, 0.4) for _ in range(4)),
            self._for_ever(self._send_long, 2.0),
            self._for_ever(self._leave, 1.0),
            self._for_ever(self._send_noise_words, 2.0),
            self._for_ever(self._look, 1.0),
        )

    async def _for_ever(self, act: Callable[[], Awaitable[None]], mean_pause_s: float) -> None:
        while time.monotonic() < self._end_s:
            try:
                await act()
            except httpx.HTTPError as fault:
                self.faults[type(fault).__name__] += 1
            await asyncio.sleep(float(self._random.exponential(mean_pause_s)))

    async def _send_short(self) -> None:
        await self._send("short", self._short[int(self._random.integers(len(self._short)))])

    async def _send_long(self) -> None:
        await self._send("long", self._long[int(self._random.integers(len(self._long)))])

    async def _send(self, kind: str, sound: Recording) -> None:
        answer = await self._client.post(
            ROUTE,
            files={"file": ("talk.wav", sound.wav)},
            data={
                "model": "fake",
                "response_format": _FORMATS[int(self._random.integers(len(_FORMATS)))],
            },
        )
        self._count(kind, answer, {200, 503})
        self.audio_s += sound.duration_s * (answer.status_code == 200)

    async def _leave(self) -> None:
        """A client that goes away before it is answered."""
        try:
            async with asyncio.timeout(float(self._random.uniform(0.02, 0.3))):
                await self._send_long()
        except TimeoutError:
            self.answers["left"] += 1

    async def _send_noise_words(self) -> None:
        answer = await self._client.post(ROUTE, files={"file": ("talk.mp3", b"no sound " * 500)})
        self._count("no sound", answer, {400, 415, 503})

    async def _look(self) -> None:
        for route in ("/health", "/v1/instances", "/v1/models"):
            self._count("looks", await self._client.get(route), {200})

    def _count(self, kind: str, answer: httpx.Response, expected: set[int]) -> None:
        self.answers[f"{kind} {answer.status_code}"] += 1
        if answer.status_code not in expected:
            self.faults[f"{kind}: {answer.text[:120]}"] += 1


async def soak(minutes: float) -> tuple[list[Sample], Load]:
    seconds = 60 * minutes
    with started_server(SETTINGS) as (address, server):
        root = psutil.Process(server.pid)
        began_s = time.monotonic()
        samples: list[Sample] = []

        async def watch() -> None:
            while True:
                samples.extend(samples_now(root, time.monotonic() - began_s))
                await asyncio.sleep(SAMPLE_EVERY_S)

        async with httpx.AsyncClient(base_url=address, timeout=CLIENT_TIMEOUT_S) as client:
            load = Load(client, began_s + seconds)
            watching = asyncio.create_task(watch())
            await load.run()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return samples, load


def report(samples: Sequence[Sample], load: Load, minutes: float) -> None:
    settled = [s for s in samples if s.at_s >= 60 * minutes * WARM_UP_SHARE]
    print(f"{'process':18} {'RSS at first, at last':24} {'slope, MB an hour':24} descriptors")
    for pid in dict.fromkeys(sample.pid for sample in samples):
        of_it = [sample for sample in samples if sample.pid == pid]
        _print_row(f"{of_it[0].kind} {pid}", of_it, [s for s in settled if s.pid == pid])
    _print_row("all", _added(samples), _added(settled))
    total = slope(pooled(_added(settled), lambda sample: sample.rss_mb))
    flat = abs(total.per_hour) <= total.plus_minus
    verdict = "no slope can be told from none" if flat else "the slope is not chance alone"
    print(f"{verdict}; the first {WARM_UP_SHARE:.0%} of the time do not count for slopes")
    print(f"answers   {', '.join(f'{n} x {what}' for what, n in sorted(load.answers.items()))}")
    print(f"sound     {load.audio_s / 3600:.2f} hours answered")
    print(f"errors    {sum(load.faults.values())}")
    for fault, times in load.faults.most_common(5):
        print(f"  {times} x {fault}")


def _added(samples: Sequence[Sample]) -> list[Sample]:
    """All processes at one time as one."""
    at_once: dict[float, list[Sample]] = {}
    for sample in samples:
        # those read in one round have one time
        at_once.setdefault(sample.at_s, []).append(sample)
    return [
        Sample(at_s, 0, "all", sum(s.rss_mb for s in them), sum(s.descriptors for s in them))
        for at_s, them in at_once.items()
    ]


def _print_row(name: str, samples: Sequence[Sample], settled: Sequence[Sample]) -> None:
    memory = slope(pooled(settled, lambda sample: sample.rss_mb))
    span = f"{samples[0].rss_mb:.1f}, {samples[-1].rss_mb:.1f} MB"
    grows = f"{memory.per_hour:+.2f} +- {memory.plus_minus:.2f}"
    descriptors = [sample.descriptors for sample in settled or samples]
    print(f"{name:18} {span:24} {grows:24} {min(descriptors)}-{max(descriptors)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    print_machine()
    print(f"soak      {options.minutes:g} minutes, {WORKERS} workers, seed {SEED}")
    samples, load = asyncio.run(soak(options.minutes))
    report(samples, load, options.minutes)
    print_load()
    return 1 if load.faults else 0


if __name__ == "__main__":
    sys.exit(main())
