"""How sure a model is of its words, in OpenAI's words: `logprobs`. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from voxfleet.core import Word

#: JSON knows no infinity
_LEAST_CONFIDENCE = 1e-10


def log_probs(words: Iterable[Word]) -> list[dict[str, object]]:
    """One entry for each word whose model says how sure it is of it."""
    return [
        {
            "token": word.text,
            "logprob": _log_prob(word.confidence),
            "bytes": list(word.text.encode()),
        }
        for word in words
        if word.confidence is not None
    ]


def _log_prob(confidence: float) -> float:
    # nan is no more certain than nothing
    if not confidence > _LEAST_CONFIDENCE:
        confidence = _LEAST_CONFIDENCE
    return round(math.log(min(confidence, 1.0)), 6)
