"""The limits and choices a media process works under, and their way to it as JSON.

Knows neither the configuration file nor any default that depends on a client.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec


def _spare_cores() -> int:
    return max(1, len(os.sched_getaffinity(0)) - 1)


@dataclass(frozen=True)
class MediaSettings:
    """`*_s` are seconds of sound for `slice_s` and the speech limits, else seconds of work."""

    processes: int = field(default_factory=_spare_cores)
    #: a turn decodes at most so much sound, and gives way after `turn_s` of work before that
    slice_s: float = 30.0
    turn_s: float = 0.25
    #: work one file may cost for every started hour of its sound, waiting not counted
    decode_timeout_s: float = 600.0
    #: a process that should work and says nothing for so long hangs
    step_timeout_s: float = 30.0
    start_timeout_s: float = 60.0
    max_audio_hours: float = 24.0
    #: how much a process may grow for one file
    memory_limit_mb: int = 512
    #: segments of one file that may lie unread
    window: int = 8
    fsmn_dir: Path | None = None
    max_segment_s: float = 30.0
    min_silence_s: float = 0.5
    padding_s: float = 0.2
    merge_below_s: float = 2.0


def to_json(settings: MediaSettings) -> str:
    return msgspec.json.encode(settings, enc_hook=str).decode()


def from_json(text: str) -> MediaSettings:
    return msgspec.json.decode(text, type=MediaSettings, dec_hook=lambda kind, value: kind(value))
