"""What the processes of a server take: memory and CPU time by kind, and how memory grows."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from bench.fleet_soak import POINT_S, WARM_UP_SHARE, Sample, pooled, slope

SAMPLE_EVERY_S = 2.0
_KINDS = {"cli": "gateway", "live_process": "live", "media_process": "media"}


def kind_of(command: Sequence[str]) -> str:
    """From the module that Python was told to run."""
    if "-m" not in command[:-1]:
        return "other"
    module = command[list(command).index("-m") + 1].rpartition(".")[2]
    return _KINDS.get(module, module)


def samples_now(root: psutil.Process, at_s: float) -> list[Sample]:
    found = []
    for process in (root, *root.children(recursive=True)):
        try:
            kind = kind_of(process.cmdline())
            rss_mb = process.memory_info().rss / 1e6
            found.append(Sample(at_s, process.pid, kind, rss_mb, process.num_fds()))
        except psutil.NoSuchProcess:
            continue
    return found


def unshared_mb(root: psutil.Process) -> float:
    """Of all processes; what several share is counted once."""
    total_kib = 0
    for process in (root, *root.children(recursive=True)):
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
        pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        total_kib += int(pss.split()[1])
    return total_kib * 1024 / 1e6


def cpu_s(root: psutil.Process) -> dict[str, float]:
    """So far, by kind; processes that have ended are not counted."""
    spent: defaultdict[str, float] = defaultdict(float)
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
            spent[kind_of(process.cmdline())] += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return dict(spent)


def cpu_since(root: psutil.Process, before: Mapping[str, float]) -> dict[str, float]:
    return {kind: spent_s - before.get(kind, 0.0) for kind, spent_s in cpu_s(root).items()}


def rss_text(root: psutil.Process) -> str:
    by_kind: defaultdict[str, float] = defaultdict(float)
    for sample in samples_now(root, 0.0):
        by_kind[sample.kind] += sample.rss_mb
    parts = ", ".join(f"{kind} {mb:.0f}" for kind, mb in sorted(by_kind.items()))
    return f"{parts}; sum {sum(by_kind.values()):.0f} MB"


async def watch(root: psutil.Process, samples: list[Sample]) -> None:
    """Until it is cancelled."""
    began_s = time.monotonic()
    while True:
        samples.extend(samples_now(root, time.monotonic() - began_s))
        await asyncio.sleep(SAMPLE_EVERY_S)


def print_growth(samples: Sequence[Sample], seconds: float) -> bool:
    """A row for each process; whether no slope of all together can be told from none."""
    settled = [sample for sample in samples if sample.at_s >= seconds * WARM_UP_SHARE]
    for pid in dict.fromkeys(sample.pid for sample in samples):
        of_it = [sample for sample in settled if sample.pid == pid]
        if of_it:
            _print_slope(f"{of_it[0].kind} {pid}", of_it)
    at_once: defaultdict[float, float] = defaultdict(float)
    for sample in settled:
        at_once[sample.at_s] += sample.rss_mb
    every = [Sample(at_s, 0, "all", mb, 0) for at_s, mb in at_once.items()]
    grows = _print_slope("all", every)
    print(f"points of {POINT_S:g} s; the first {WARM_UP_SHARE:.0%} of the time do not count")
    return not grows


def _print_slope(name: str, samples: Sequence[Sample]) -> bool:
    fitted = slope(pooled(samples, lambda sample: sample.rss_mb))
    span = f"{samples[0].rss_mb:.1f}, {samples[-1].rss_mb:.1f} MB"
    print(f"{name:24} {span:24} {fitted.per_hour:+.2f} +- {fitted.plus_minus:.2f} MB an hour")
    return fitted.per_hour > fitted.plus_minus
