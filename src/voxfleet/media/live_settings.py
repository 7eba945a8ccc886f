"""The limits the live process works under, and their way to it as JSON. Knows no client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True)
class LiveHostSettings:
    """`keep_s`: sound that was heard longer ago is not there any more, asked for or not."""

    fsmn_dir: Path | None = None
    keep_s: float = 60.0
    #: a process that should hear and says nothing for so long hangs
    hang_limit_s: float = 5.0
    start_timeout_s: float = 60.0


def to_json(settings: LiveHostSettings) -> str:
    return msgspec.json.encode(settings, enc_hook=str).decode()


def from_json(text: str) -> LiveHostSettings:
    return msgspec.json.decode(
        text, type=LiveHostSettings, dec_hook=lambda kind, value: kind(value)
    )
