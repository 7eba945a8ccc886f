"""What a session machine wants done, what it is answered, and what it is held to.

Values only. Positions are samples at 16 kHz since the session's start, ranges half-open.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.core import Hypothesis
from voxfleet.transcribe.session_contract import SessionEvent


@dataclass(frozen=True, slots=True)
class MachineLimits:
    """`window_s`: a longer piece of an utterance is settled, and read no more.

    `padding_s` of sound after speech is read with it. An unfinished piece is read again after at
    least `min_growth_s` of new speech and `min_interval_s` of time. A client commits at least
    `min_commit_s`. With no turns detected, `pause_s` without speech separates pieces.
    """

    window_s: float = 8.0
    padding_s: float = 0.2
    min_growth_s: float = 0.2
    min_interval_s: float = 0.3
    min_commit_s: float = 0.1
    pause_s: float = 0.5


# -- what is to be done, in this order -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tell:
    """To the client."""

    event: SessionEvent


@dataclass(frozen=True, slots=True)
class Read:
    """Recognise `[start, end)`; answered once, by `read` or `read_failed`, unless dropped.

    With `quiet_from`, it is read to the quietest place in `[quiet_from, end)` instead, and the
    answer says which. A `final` reading is waited for; another one only shows how far speech got.
    """

    id: int
    item: int
    start: int
    end: int
    final: bool
    quiet_from: int | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """The answer to this reading is not wanted any more; one that comes all the same is ignored."""

    reading_id: int


@dataclass(frozen=True, slots=True)
class Forget:
    """No reading will begin before."""

    before: int


Step = Tell | Read | Drop | Forget


# -- the answer ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """What was recognised from the start of the `Read` with this id up to `end`."""

    id: int
    end: int
    hypothesis: Hypothesis
