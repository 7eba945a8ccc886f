"""How fast the workers of a pool are, and when one of them counts as hung. Pure: no clock.

The rule: a batch may take four times its predicted time, never less than a minimum. The prediction
comes from finished batches, before the first of them from the model's own guess. Each hang since
the last finished batch makes every limit four times longer, up to sixteen times: the machine may
be slower than was thought. A limit that was only guessed proves nothing against the sound: such a
loss ends as the server's fault, whereas sound that twice, alone, exceeds a learned limit is blamed.
"""

from __future__ import annotations

from dataclasses import dataclass

_TIMES_PREDICTED = 4.0
_LONGER_AFTER_HANG = 4.0
_LONGEST = 16.0


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """`learned` tells a limit that rests on finished batches from one that rests on a guess."""

    limit_s: float
    learned: bool


class RateMeter:
    """Audio seconds per second of computing, by recent batches; long ones weigh more."""

    _KEPT = 0.8

    def __init__(self) -> None:
        self._audio_s = 0.0
        self._compute_s = 0.0
        self._patience = 1.0

    @property
    def rate(self) -> float | None:
        """None before the first batch; a hang does not count, it measures nothing."""
        if self._audio_s <= 0 or self._compute_s <= 0:
            return None
        return self._audio_s / self._compute_s

    def observe(self, audio_s: float, compute_s: float) -> None:
        """A batch has been finished."""
        self._audio_s = self._KEPT * self._audio_s + audio_s
        self._compute_s = self._KEPT * self._compute_s + compute_s
        self._patience = 1.0

    def observe_hang(self) -> None:
        """A batch has exceeded its limit."""
        self._patience = min(_LONGEST, self._patience * _LONGER_AFTER_HANG)

    def limit(self, padded_s: float, guessed_rate: float, at_least_s: float) -> BatchLimit:
        """How long a batch of this cost may take."""
        rate = self.rate
        predicted_s = padded_s / (rate or guessed_rate)
        limit_s = max(at_least_s, _TIMES_PREDICTED * predicted_s) * self._patience
        return BatchLimit(limit_s, learned=rate is not None)
