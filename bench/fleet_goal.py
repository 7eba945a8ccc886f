"""What the fleet has to reach, what it did reach, and the machine both were measured on.

Knows no part of the server; prints one table.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("voxfleet", "pyzmq", "msgspec", "starlette", "uvicorn")


@dataclass(frozen=True, slots=True)
class Goal:
    """One row of the table; `met` None is a figure for information, with no goal."""

    what: str
    wanted: str
    figure: str
    met: bool | None = None


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of all does not exceed; nothing measured is inf."""
    ordered = sorted(values)
    if not ordered:
        return float("inf")
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def print_machine() -> None:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    print(f"machine   {_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB")
    print(f"versions  Python {platform.python_version()}, {packages}")
    print_load()


def print_load() -> None:
    print(f"load      {' '.join(f'{load:.2f}' for load in os.getloadavg())} (1, 5, 15 minutes)")


def print_table(goals: Sequence[Goal]) -> None:
    rows = [("", "goal", "figure", "met"), *((g.what, g.wanted, g.figure, _word(g)) for g in goals)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _word(goal: Goal) -> str:
    if goal.met is None:
        return "-"
    return "yes" if goal.met else "NO"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
