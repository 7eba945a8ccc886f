"""What is told of realtime sessions: how many there are, how they end, how quick texts come.

Knows no metric; whoever runs sessions is given one of these.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

_log = logging.getLogger(__name__)


class SessionOutcome(StrEnum):
    ENDED = "ended"
    LIMITS = "limits"
    FAILED = "failed"
    REFUSED = "refused"


class SessionMeter(Protocol):
    """Who keeps the figures."""

    def session_opened(self) -> None: ...
    def session_ended(self, outcome: SessionOutcome) -> None: ...
    def session_refused(self) -> None: ...
    def reading_asked(self, *, final: bool) -> None: ...
    def utterance_told(self, took_s: float) -> None: ...
    def sound_answered(self, model: str, audio_s: float) -> None: ...


class _Nobody:
    def session_opened(self) -> None: ...
    def session_ended(self, outcome: SessionOutcome) -> None: ...
    def session_refused(self) -> None: ...
    def reading_asked(self, *, final: bool) -> None: ...
    def utterance_told(self, took_s: float) -> None: ...
    def sound_answered(self, model: str, audio_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class SessionWatch:
    """`log_texts` is the operator's wish: texts may be private."""

    meter: SessionMeter = field(default_factory=_Nobody)
    log_texts: bool = False

    def told(self, text: str, model: str, audio_s: float, took_s: float) -> None:
        """An utterance's text goes out, so long after the utterance was complete."""
        self.meter.utterance_told(took_s)
        self.meter.sound_answered(model, audio_s)
        if self.log_texts:
            # with line breaks escaped: a text must not look like a line of ours
            _log.info("text: %r", text)


UNWATCHED_SESSIONS = SessionWatch()
