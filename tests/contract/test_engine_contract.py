"""What every engine promises, asked of each: count, order, repetition, independence, times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.integration.worker_rig import noise, segment
from voxfleet.core import Hypothesis, Segment
from voxfleet.engines.catalog import EngineOptions, engine_names, make_engine
from voxfleet.engines.engine import Engine

#: stands for the folder of a small checkpoint with random weights
CHECKPOINT = "a SeACo-Paraformer"
#: how far the company may move a probability; of the others every number is the same
TOLERANCE = {CHECKPOINT: 1e-3}


@pytest.fixture(scope="module", params=[*engine_names(), CHECKPOINT])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def model(kind: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    if kind != CHECKPOINT:
        return kind
    pytest.importorskip("torch", reason="PyTorch is not installed, and Paraformer needs it")
    from tests.integration.checkpoint_rig import random_checkpoint

    return str(random_checkpoint(tmp_path_factory.mktemp("model"), "seaco"))


@pytest.fixture(scope="module")
def engine(model: str) -> Engine:
    made = make_engine(model, EngineOptions(model))
    made.load()
    made.warm_up()
    return made


def hum(seconds: float, pitch_hz: float) -> NDArray[np.int16]:
    """A vowel-like buzz that comes and goes four times a second: cheap, and not silence."""
    at_s = np.arange(round(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * pitch_hz * k * at_s) / k for k in range(1, 12))
    return (4000 * buzz * np.abs(np.sin(4 * np.pi * at_s))).astype(np.int16)


MIXED = [
    segment(hum(1.2, 120), "a"),
    segment(noise(0.6), "b"),
    segment(np.zeros(8_000, np.int16), "c"),
    segment(hum(0.9, 210), "d"),
]


def answers(engine: Engine, *batch: Segment) -> list[Hypothesis]:
    heard = engine.recognise(batch)
    assert all(isinstance(answer, Hypothesis) for answer in heard)
    return [answer for answer in heard if isinstance(answer, Hypothesis)]


def test_an_empty_batch_has_no_answers(engine: Engine) -> None:
    assert engine.recognise([]) == []


def assert_same(
    found: Sequence[Hypothesis], expected: Sequence[Hypothesis], tolerance: float
) -> None:
    assert [_without_numbers(answer) for answer in found] == list(map(_without_numbers, expected))
    for answer, same in zip(found, expected, strict=True):
        assert _numbers(answer) == pytest.approx(_numbers(same), abs=tolerance, rel=0)


def _without_numbers(answer: Hypothesis) -> Hypothesis:
    words = tuple(replace(word, confidence=None) for word in answer.words)
    return replace(answer, words=words, avg_logprob=None, no_speech_prob=None)


def _numbers(answer: Hypothesis) -> list[float]:
    confidences = (word.confidence for word in answer.words)
    numbers = (answer.avg_logprob, answer.no_speech_prob, *confidences)
    return [number for number in numbers if number is not None]


def test_one_answer_each_in_order_whoever_is_beside(engine: Engine, kind: str) -> None:
    alone = [answers(engine, item)[0] for item in MIXED]
    tolerance = TOLERANCE.get(kind, 0.0)
    assert_same(answers(engine, *MIXED), alone, tolerance)
    assert_same(answers(engine, *reversed(MIXED)), alone[::-1], tolerance)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_scraps_of_sound_are_empty(engine: Engine, count: int) -> None:
    (answer,) = answers(engine, segment(noise(1.0)[:count]))
    assert (answer.text, answer.words) == ("", ())


def test_the_longest_segment_is_answered(engine: Engine, kind: str) -> None:
    (answer,) = answers(engine, segment(np.tile(hum(1.0, 150), 30)))
    check_words(answer, 30.0, kind)


def test_words_lie_inside_their_segment_in_order(engine: Engine, kind: str) -> None:
    for item, answer in zip(MIXED, answers(engine, *MIXED), strict=True):
        check_words(answer, item.waveform.duration_s, kind)


def check_words(answer: Hypothesis, duration_s: float, kind: str) -> None:
    times = [time for word in answer.words for time in (word.start_s, word.end_s)]
    assert all(earlier <= later for earlier, later in pairwise([0.0, *times, duration_s]))
    assert all(word.start_s < word.end_s for word in answer.words)
    words = [word.text for word in answer.words]
    if kind == CHECKPOINT:
        # Chinese has no spaces between words, and English beside it has
        assert answer.text.replace(" ", "") == "".join(words).replace(" ", "")
    else:
        assert answer.text == " ".join(words)
    assert all(0 < (word.confidence or 0) <= 1 for word in answer.words)
    assert answer.avg_logprob is None or answer.avg_logprob <= 0


def test_says_what_it_can_do(engine: Engine) -> None:
    info = engine.info
    assert info.languages
    assert info.speed > 0
    assert info.max_batch_s >= 30.0


def test_a_second_engine_says_the_same(engine: Engine, model: str, kind: str) -> None:
    other = make_engine(model, EngineOptions(model))
    other.load()
    assert_same(answers(other, *MIXED), answers(engine, *MIXED), TOLERANCE.get(kind, 0.0))
