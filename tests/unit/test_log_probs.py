"""How sure a model was of its words, for OpenAI's clients."""

from __future__ import annotations

import json
import math

import pytest

from voxfleet.core import Transcript, Transcription, TranscriptSegment, Word
from voxfleet.transcribe.formats import render
from voxfleet.transcribe.log_probs import log_probs


def test_each_word_has_its_bytes_and_the_logarithm_of_its_confidence() -> None:
    (entry,) = log_probs([Word("你", 0, 1, 0.5)])
    assert entry == {"token": "你", "logprob": -0.693147, "bytes": [228, 189, 160]}


@pytest.mark.parametrize(
    ("confidence", "logprob"), [(1.0, 0.0), (1.5, 0.0), (0.0, -23.025851), (math.nan, -23.025851)]
)
def test_no_confidence_makes_what_json_cannot_say(confidence: float, logprob: float) -> None:
    (entry,) = log_probs([Word("a", 0, 1, confidence)])
    assert entry["logprob"] == logprob
    json.dumps(entry, allow_nan=False)


def test_words_without_a_confidence_have_no_entry() -> None:
    (entry,) = log_probs([Word("a", 0, 1), Word("b", 1, 2, 1.0)])
    assert entry["bytes"] == [98]


def test_json_has_them_only_when_they_are_asked_for() -> None:
    segments = (
        TranscriptSegment(0, 0, 1, "a", (Word("a", 0, 1, 0.5),)),
        TranscriptSegment(1, 1, 2, "b", (Word("b", 1, 2, 0.25),)),
    )
    whole = Transcription("m", 2.0, (Transcript("a b", "en", 2.0, segments),))
    asked = json.loads(render(whole, "json", with_log_probs=True).body)
    assert [(entry["token"], entry["logprob"]) for entry in asked["logprobs"]] == [
        ("a", -0.693147),
        ("b", -1.386294),
    ]
    assert "logprobs" not in json.loads(render(whole, "json").body)
