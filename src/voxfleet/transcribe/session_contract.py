"""What a realtime session is asked for, what it tells, and what protocols may do with one.

Values and interfaces only. Times are seconds of sound since the session's start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from voxfleet.core import RecognitionOptions, TextOptions, Word
from voxfleet.media.live_sound import LiveOptions


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """Where an utterance ends by itself: after `silence_s` without speech.

    `detect` False leaves it to the client's commits. `prefix_s` of sound before the speech belong
    to it. After `idle_s` without any speech, the client is told once; None never does.
    """

    detect: bool = True
    silence_s: float = 0.5
    prefix_s: float = 0.3
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What one session is asked for."""

    model: str | None = None
    client: str = ""
    sound: LiveOptions = field(default_factory=LiveOptions)
    turns: TurnOptions = field(default_factory=TurnOptions)
    recognition: RecognitionOptions = field(default_factory=RecognitionOptions)
    text: TextOptions = field(default_factory=TextOptions)


# -- what a session tells; `item` counts utterances from 0 --------------------------------------


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    item: int
    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    item: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Committed:
    """The utterance is complete; its final text will follow."""

    item: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was heard and not committed is forgotten."""


@dataclass(frozen=True, slots=True)
class PartialText:
    """More of the utterance's text; never taken back."""

    item: int
    text: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The whole utterance, authoritative; comes after its `Committed`, in the order of items."""

    item: int
    start_s: float
    end_s: float
    text: str
    language: str | None = None
    #: where the model tells them; times as everywhere here
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemFailed:
    """Takes the place of `Completed`."""

    item: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class NothingSaid:
    """`TurnOptions.idle_s` have passed since `start_s` without speech."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Ending:
    """The server ends the session, and why; what was heard before is still finished and told.

    `broken` is a fault of the server's, and no limit.
    """

    reason: str
    broken: bool = False


SessionEvent = (
    SpeechStarted
    | SpeechStopped
    | Committed
    | Cleared
    | PartialText
    | Completed
    | ItemFailed
    | NothingSaid
    | Ending
)


class RealtimeSession(Protocol):
    """One speaker. Every method may raise VoxfleetError, which leaves the session as it was."""

    @property
    def options(self) -> SessionOptions: ...
    @property
    def model(self) -> str:
        """The model's own name, also where an alias or none was asked for."""
        ...

    def change(self, options: SessionOptions) -> None:
        """From here on. The sound's encoding and rate cannot change once there was sound."""
        ...

    async def feed(self, sound: bytes) -> None:
        """The next bytes, any number; waits while too much is not heard yet."""
        ...

    async def commit(self) -> None:
        """What was heard since the last utterance is one; raises EmptyAudioError for too little.

        Where the sound ends within a sample, that is dropped, and AudioError says so afterwards.
        """
        ...

    async def clear(self) -> None: ...

    async def finish(self) -> None:
        """No more sound comes: the last utterance is committed, and `events` end after its text."""
        ...

    def events(self) -> AsyncIterator[SessionEvent]:
        """In order, once. Ends after `finish` or `Ending`, when all is told."""
        ...
