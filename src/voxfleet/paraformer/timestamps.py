"""When each token was spoken, from the weights a Paraformer predictor gives to every frame.

Pure NumPy. Knows neither the network that made the weights nor the tokens' texts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: the timestamp head is trained to fire a little before the running sum is whole
FIRE_THRESHOLD = 1 - 1e-4
#: the model fires that much after a token has begun
_SHIFT_UNITS = -1.5
#: a longer token is a token and a silence
_MAX_TOKEN_UNITS = 12
#: more frames than these after the last fire are half silence
_MAX_TAIL_UNITS = 5


def fire_frames(
    alphas: NDArray[np.float32], threshold: float = FIRE_THRESHOLD
) -> NDArray[np.int64]:
    """Where the running sum reaches `threshold`, which is then taken from it, once per frame."""
    return _fires(_weights(alphas), threshold)


def token_spans(
    alphas: NDArray[np.float32],
    token_count: int,
    unit_s: float,
    *,
    threshold: float = FIRE_THRESHOLD,
    duration_s: float | None = None,
) -> list[tuple[float, float]]:
    """Start and end of every text token in seconds from the segment's start, in time order.

    `alphas` are those of the segment's own frames, `unit_s` one frame of theirs (0.02 for the
    timestamp head, 0.06 for the token head, which fires at a `threshold` of 1). No span reaches
    beyond `duration_s`, where it is given: the last frame may be longer than the sound.
    """
    if token_count <= 0:
        return []
    edges = _edges(alphas, token_count, threshold)
    starts = edges[:-1]
    ends = np.minimum(edges[1:], starts + _MAX_TOKEN_UNITS)
    if ends[-1] == edges[-1]:
        ends[-1] = _tail_end(float(edges[-1]), len(alphas))
    limit_s = len(alphas) * unit_s
    limit_s = limit_s if duration_s is None else min(limit_s, max(duration_s, 0.0))
    spans = np.clip(np.stack((starts, ends), axis=1) * unit_s, 0.0, limit_s)
    return [(start, end) for start, end in spans.tolist()]


def _tail_end(last_fire: float, frame_count: int) -> float:
    if frame_count - last_fire > _MAX_TAIL_UNITS:
        return (frame_count + last_fire) / 2
    return float(frame_count)


def _edges(alphas: NDArray[np.float32], token_count: int, threshold: float) -> NDArray[np.float64]:
    """Where tokens begin, and the last one ends, in frames; the first may be below 0."""
    wanted = token_count + 1
    weights = _weights(alphas)
    fires = _fires(weights, threshold)
    total = weights.sum()
    if len(fires) != wanted and total > 0:
        fires = _fires(weights / total * wanted, FIRE_THRESHOLD)
    edges = fires[:wanted].astype(np.float64) + _SHIFT_UNITS
    return np.concatenate((edges, _evenly(edges, wanted - len(edges), len(alphas))))


def _evenly(edges: NDArray[np.float64], missing: int, frame_count: int) -> NDArray[np.float64]:
    """Edges for the tokens that no fire tells of: equal parts of what remains of the segment."""
    if len(edges) == 0:
        return np.linspace(0.0, frame_count, missing)
    return np.linspace(max(float(edges[-1]), 0.0), frame_count, missing + 1)[1:]


def _weights(alphas: NDArray[np.float32]) -> NDArray[np.float64]:
    """In float64, whose sums stay exact enough; a broken number carries no weight."""
    usable = np.isfinite(alphas) & (alphas > 0)
    return np.where(usable, alphas, 0.0).astype(np.float64)


def _fires(weights: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    whole = np.floor(np.cumsum(weights) / threshold)
    frames = np.arange(1, len(whole) + 1)
    # at most one fire per frame: a sum that runs ahead is worked off in the frames after it
    fired = frames + np.minimum.accumulate(np.minimum(whole - frames, 0))
    return np.flatnonzero(np.diff(fired, prepend=0.0) > 0).astype(np.int64, copy=False)
