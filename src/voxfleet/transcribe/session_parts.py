"""What a realtime session works with: ears, a model, and what it may cost. Knows no session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from voxfleet.core import SpooledSegment, VadMode
from voxfleet.media.live_sound import Heard, LiveOptions
from voxfleet.observe.session_watch import UNWATCHED_SESSIONS, SessionWatch
from voxfleet.transcribe.served_model import ServedModel
from voxfleet.transcribe.session_contract import SessionOptions
from voxfleet.transcribe.text_stage import TextStage


class Ears(Protocol):
    """What hears the sound, see `media.live_stream`."""

    @property
    def unheard_s(self) -> float: ...
    @property
    def has_news(self) -> bool:
        """Whether `heard` would answer at once."""
        ...

    def restart_detection(self, vad: VadMode, threshold: float) -> None: ...
    def feed(self, sound: bytes) -> None: ...
    async def heard(self) -> Heard: ...
    async def cut(self, start: int, end: int, quiet_from: int | None = None) -> SpooledSegment: ...
    def forget(self, before: int) -> None: ...
    async def flush(self) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What a session works with.

    `understood` refuses what cannot be had (ParameterError) and fills in what is the model's own.
    `cost_factor` says how many seconds are to pass for each second of an unfinished reading, as
    all sessions share what the workers can do.
    """

    served: ServedModel
    open_ears: Callable[[LiveOptions], Awaitable[Ears]]
    text_stage: TextStage
    understood: Callable[[SessionOptions], SessionOptions] = lambda options: options
    cost_factor: Callable[[], float] = lambda: 0.0
    watch: SessionWatch = UNWATCHED_SESSIONS
    max_ahead_s: float = 30.0
    final_limit_s: float = 300.0
