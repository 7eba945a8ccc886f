"""What the `fake` engine may be told: its pace, its memory, its faults. Pure; knows no sound.

`fault` is a list separated by commas; each entry is NAME or NAME@WHEN. WHEN is a whole number (that
batch of a worker's life, from 1), a number with a point (that share of the batches, by chance;
`crash@0.05#7` fixes the chance by the seed 7), or anything else: a hotword that aims at the
requests which carry it. Without WHEN the fault happens in every batch. Faults of loading happen
before the first batch, so only a share (of the processes) makes sense for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

from voxfleet.errors import SettingsError


class FakeFault(StrEnum):
    SLOW = "slow"  # ten times the time the batch would take, with progress
    HANG = "hang"  # never answers
    CRASH = "crash"  # the process ends at once
    EXIT = "exit"  # the process ends at once as if all were well, with status 0
    DEVICE = "device"  # raises DeviceFaultError
    WRONG_COUNT = "wrong_count"  # one answer too few
    OUT_OF_MEMORY = "out_of_memory"  # raises MemoryError
    ERROR = "error"  # the segment cannot be recognised
    GARBAGE = "garbage"  # an answer that is no text
    CORRUPT = "corrupt"  # an answer that turns into bytes that are no message
    BROKEN = "broken"  # an exception nobody foresaw
    LOAD = "load"  # the model cannot be loaded
    LOAD_EXIT = "load_exit"  # the process ends while it loads, without a word
    LOAD_HANG = "load_hang"  # loading never ends


@dataclass(frozen=True, slots=True)
class FakeOptions:
    """`speed` is audio seconds a second; a batch takes `fixed_s` plus its padded seconds by it.

    A batch of more than `out_of_memory_above_s` padded seconds does not fit; 0 is no limit.
    """

    speed: float = 1000.0
    fixed_s: float = 0.0
    load_s: float = 0.0
    memory_mb: int = 0
    fault: str = ""
    out_of_memory_above_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One entry of `fault`; at most one of the three conditions is set."""

    fault: FakeFault
    batch_number: int | None = None
    probability: float | None = None
    hotword: str | None = None
    seed: str | None = None

    def strikes(self, batch_number: int, hotwords: Sequence[str], chance_seed: str) -> bool:
        """Whether a batch of these hotwords is hit; `chance_seed` is used where none was given."""
        if self.batch_number is not None:
            return batch_number == self.batch_number
        if self.probability is not None:
            seed = self.seed if self.seed is not None else chance_seed
            return crc32(f"{seed}:{batch_number}".encode()) / 2**32 < self.probability
        return self.hotword is None or self.hotword in hotwords


def parse_faults(text: str) -> tuple[FaultRule, ...]:
    """The rules in `fault`; raises SettingsError for a fault nobody knows."""
    return tuple(_parse_rule(entry.strip()) for entry in text.split(",") if entry.strip())


def _parse_rule(entry: str) -> FaultRule:
    name, _, when = entry.partition("@")
    if name not in set(FakeFault):
        known = ", ".join(FakeFault)
        raise SettingsError(f"fake.fault: {name!r} is no fault; known are {known}")
    fault = FakeFault(name)
    if not when:
        return FaultRule(fault)
    if when.isdecimal():
        return FaultRule(fault, batch_number=int(when))
    share, _, seed = when.partition("#")
    if share.replace(".", "", 1).isdecimal():
        return FaultRule(fault, probability=float(share), seed=seed or None)
    return FaultRule(fault, hotword=when)
