"""What the network said of one item, on the host: tokens, their probabilities, and when they fire.

Knows no device; turns itself into tokens with times once it is given a vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxfleet.paraformer.model_config import ParaformerConfig
from voxfleet.paraformer.timestamps import FIRE_THRESHOLD, token_spans
from voxfleet.paraformer.tokens import Token, Vocabulary

#: an encoder frame: six feature frames of 10 ms
_FRAME_S = 0.06
#: the first head fires at whole numbers, the second a little before (FunASR's two rules)
_FIRST_HEAD_THRESHOLD = 1.0


@dataclass(frozen=True, slots=True)
class FiringCurve:
    """Weights [units] of `unit_s` each, float32; a token fires where their sum passes a border."""

    weights: NDArray[np.float32]
    unit_s: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Track:
    """`ids` with their `probabilities`, `</s>` included; `curve` tells when they were spoken.

    Not `finite`, and then empty: the network's numbers overflowed, so that nothing is known.
    """

    ids: Sequence[int]
    probabilities: Sequence[float]
    curve: FiringCurve
    finite: bool = True


def track_of(
    ids: Sequence[int],
    probabilities: Sequence[float],
    curve: FiringCurve,
    weights: NDArray[np.float32],
) -> Track:
    """Checked; `weights` are those of the first head, which decided how many tokens there are."""
    finite = np.isfinite(curve.weights).all() and np.isfinite(weights).all()
    if finite and all(map(math.isfinite, probabilities)):
        return Track(ids, probabilities, curve)
    silent = FiringCurve(np.zeros_like(curve.weights), curve.unit_s, curve.threshold)
    return Track((), (), silent, finite=False)


def frame_curve(weights: NDArray[np.float32]) -> FiringCurve:
    """Of the predictor's own weights, the tail frame included (CifPredictorV2)."""
    return FiringCurve(weights, _FRAME_S, _FIRST_HEAD_THRESHOLD)


def unit_curve(weights: NDArray[np.float32], count: int, config: ParaformerConfig) -> FiringCurve:
    """Of the up-sampled head (CifPredictorV3), scaled so that it fires once per token."""
    upsample = config.predictor.upsample
    if upsample is None:
        raise TypeError("this predictor has no head for time stamps")
    total = float(weights.sum())
    scaled = weights * np.float32(count / total) if total > 0 else weights
    return FiringCurve(scaled, _FRAME_S / upsample.times, FIRE_THRESHOLD)


def tokens_of(track: Track, vocabulary: Vocabulary, duration_s: float) -> list[Token]:
    """The spoken tokens in order, with seconds from the item's start."""
    spoken = [place for place, token in enumerate(track.ids) if vocabulary.is_text(token)]
    curve = track.curve
    spans = token_spans(
        curve.weights, len(spoken), curve.unit_s, threshold=curve.threshold, duration_s=duration_s
    )
    return [
        Token(vocabulary.pieces[track.ids[place]], *span, track.probabilities[place])
        for place, span in zip(spoken, spans, strict=True)
    ]
