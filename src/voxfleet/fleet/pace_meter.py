"""How fast the workers of a pool are, and when one of them counts as hung. Pure: no clock.

Time of a batch is learned as `fixed + per padded second`, by least squares over recent batches.
The rule for hanging: a batch may go without progress for four times its predicted time, never less
than a minimum. The prediction comes from finished batches, before the first of them from the
model's own guess. Each hang since the last finished batch makes every limit four times longer, up
to sixteen times: the machine may be slower than was thought. A limit that was only guessed proves
nothing against the sound: such a loss ends as the server's fault, whereas sound that twice, alone,
exceeds a learned limit is blamed.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.pool_contract import TimeModel

_TIMES_PREDICTED = 4.0
_LONGER_AFTER_HANG = 4.0
_LONGEST = 16.0
#: what one batch keeps of its weight when the next has finished
_KEPT = 0.9
#: padded seconds must vary by so much (as a share of their mean) to tell fixed from growing cost
_LEAST_SPREAD = 0.1
#: a batch is never believed to cost nothing
_LEAST_PER_PADDED_S = 1e-7


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """`learned` tells a limit that rests on finished batches from one that rests on a guess."""

    limit_s: float
    learned: bool


class PaceMeter:
    """Seconds of computing by padded seconds, and audio seconds per second of computing."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._padded = self._padded_squared = 0.0
        self._time = self._padded_time = 0.0
        self._audio_s = 0.0
        self._patience = 1.0

    @property
    def rate(self) -> float | None:
        """Audio seconds a second; None before the first batch; a hang measures nothing."""
        if self._audio_s <= 0 or self._time <= 0:
            return None
        return self._audio_s / self._time

    def observe(self, audio_s: float, padded_s: float, compute_s: float) -> None:
        """A batch has been finished."""
        self._weight = _KEPT * self._weight + 1.0
        self._padded = _KEPT * self._padded + padded_s
        self._padded_squared = _KEPT * self._padded_squared + padded_s * padded_s
        self._time = _KEPT * self._time + compute_s
        self._padded_time = _KEPT * self._padded_time + padded_s * compute_s
        self._audio_s = _KEPT * self._audio_s + audio_s
        self._patience = 1.0

    def observe_hang(self) -> None:
        """A batch has exceeded its limit."""
        self._patience = min(_LONGEST, self._patience * _LONGER_AFTER_HANG)

    def model(self, guessed_rate: float) -> TimeModel:
        """The learned line; where nothing is learned yet, the guess."""
        if self._weight == 0 or self._padded <= 0 or self._time <= 0:
            return TimeModel(0.0, 1.0 / guessed_rate)
        mean_padded, mean_time = self._padded / self._weight, self._time / self._weight
        slope = max(self._slope(mean_padded, mean_time), _LEAST_PER_PADDED_S)
        return TimeModel(max(0.0, mean_time - slope * mean_padded), slope, learned=True)

    def _slope(self, mean_padded: float, mean_time: float) -> float:
        """Between nothing and all of the time grows with the length, whatever noise says."""
        whole = mean_time / mean_padded
        variance = self._padded_squared / self._weight - mean_padded**2
        if variance <= (_LEAST_SPREAD * mean_padded) ** 2:
            return whole
        covariance = self._padded_time / self._weight - mean_padded * mean_time
        return min(max(covariance / variance, 0.0), whole)

    def limit(self, padded_s: float, guessed_rate: float, at_least_s: float) -> BatchLimit:
        """How long a batch of this cost may go without progress."""
        model = self.model(guessed_rate)
        limit_s = max(at_least_s, _TIMES_PREDICTED * model.predict_s(padded_s)) * self._patience
        return BatchLimit(limit_s, learned=model.learned)
