"""What a speech detector says, and the interface all of them share. Pure: no model, no file.

Positions are sample indices at 16 kHz from the start of the recording, ranges half-open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SpeechUpdate:
    """What is known after some more sound.

    `spans`: pieces of speech that ended since the last update, in order, never overlapping.
    `open_since`: where speech still going on began, None in silence.
    `settled`: no later span will begin before this sample, so older sound may be forgotten;
    with speech open it is at most `open_since`; after `finish` the length of the recording.
    `open_until`: speech still going on ends nowhere before this sample; None if nothing is sure.
    """

    spans: tuple[SpeechSpan, ...]
    open_since: int | None
    settled: int
    open_until: int | None = None


class SpeechDetector(Protocol):
    """Finds speech in one channel as its sound arrives; keeps its own state between calls."""

    def push(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        """Take the next samples, int16 of shape [n], any n."""
        ...

    def finish(self) -> SpeechUpdate:
        """The recording has ended: everything is settled."""
        ...
