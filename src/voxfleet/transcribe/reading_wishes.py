"""Which reading a piece of speech wants next, and when it is worth its cost. Pure.

Last readings never wait; those in between wait for speech to have grown and for their pace.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.transcribe.realtime_turns import samples
from voxfleet.transcribe.session_steps import MachineLimits
from voxfleet.transcribe.spoken_item import Piece

#: a piece that is too long is cut at its quietest place after this share of the window
_EARLIEST_CUT = 0.6


@dataclass(frozen=True, slots=True)
class Wish:
    """`covers`: up to where the reading has the piece's speech as well as any other would."""

    end: int
    covers: int
    final: bool
    quiet_from: int | None = None


@dataclass(slots=True)
class Pace:
    """How often a growing piece may be read: the longer and the dearer, the less."""

    min_interval_s: float
    #: seconds between two readings for each second of sound that is read
    cost_factor: float = 0.0
    #: when the last one was asked for
    last_s: float = float("-inf")

    def allows(self, length: int, now_s: float) -> bool:
        return self.affords(length, now_s) and now_s >= self.last_s + self.min_interval_s

    def affords(self, length: int, now_s: float) -> bool:
        return now_s >= self.last_s + length / SAMPLE_RATE_HZ * self.cost_factor


@dataclass(frozen=True, slots=True)
class Prospect:
    """What there is to read: sound to `limit`, of it `tail` after speech.

    `speaking`: the speech goes on. A pause of `patience` is likely to be the end.
    """

    now_s: float
    limit: int
    tail: int
    patience: int
    speaking: bool


def next_reading(piece: Piece, seen: Prospect, pace: Pace, limits: MachineLimits) -> Wish | None:
    if piece.is_read or piece.awaits_last:
        return None
    window = samples(limits.window_s)
    if piece.speech_end - piece.start > window:
        end = piece.start + window
        return Wish(end, end, final=True, quiet_from=piece.start + int(window * _EARLIEST_CUT))
    if piece.closed:
        return _to_speech_end(piece, seen, final=True)
    if seen.speaking:
        return _growing(piece, seen, pace, limits)
    return _pausing(piece, seen, pace)


def _to_speech_end(piece: Piece, seen: Prospect, *, final: bool) -> Wish:
    end = min(piece.speech_end + seen.tail, max(seen.limit, piece.speech_end))
    return Wish(end, piece.speech_end, final)


def _growing(piece: Piece, seen: Prospect, pace: Pace, limits: MachineLimits) -> Wish | None:
    if piece.asked or piece.speech_end - piece.read_to < samples(limits.min_growth_s):
        return None
    end = min(seen.limit, piece.speech_end + seen.tail, piece.start + samples(limits.window_s))
    if not pace.allows(end - piece.start, seen.now_s):
        return None
    # detectors that say late that speech has ended let a reading have the pause already
    return Wish(end, end - seen.tail // 2, final=False)


def _pausing(piece: Piece, seen: Prospect, pace: Pace) -> Wish | None:
    """Ahead of the utterance's end, so that its last reading is there when it has ended."""
    if piece.tried >= piece.speech_end:
        return None
    wish = _to_speech_end(piece, seen, final=False)
    likely = seen.limit - piece.speech_end >= seen.patience
    return wish if likely or pace.affords(wish.end - piece.start, seen.now_s) else None
