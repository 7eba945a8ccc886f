"""What every engine promises, asked of each: count, order, repetition, independence, times."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.integration.worker_rig import noise, segment
from voxfleet.core import Hypothesis, Segment
from voxfleet.engines.catalog import EngineOptions, engine_names, make_engine
from voxfleet.engines.engine import Engine


@pytest.fixture(scope="module", params=engine_names())
def engine(request: pytest.FixtureRequest) -> Engine:
    made = make_engine(request.param, EngineOptions(request.param))
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


def test_one_answer_each_in_order_whoever_is_beside(engine: Engine) -> None:
    alone = [answers(engine, item)[0] for item in MIXED]
    assert answers(engine, *MIXED) == alone
    assert answers(engine, *reversed(MIXED)) == alone[::-1]


@pytest.mark.parametrize("count", [0, 1, 100])
def test_scraps_of_sound_are_empty(engine: Engine, count: int) -> None:
    (answer,) = answers(engine, segment(noise(1.0)[:count]))
    assert (answer.text, answer.words) == ("", ())


def test_the_longest_segment_is_answered(engine: Engine) -> None:
    (answer,) = answers(engine, segment(np.tile(hum(1.0, 150), 30)))
    check_words(answer, 30.0)


def test_words_lie_inside_their_segment_in_order(engine: Engine) -> None:
    for item, answer in zip(MIXED, answers(engine, *MIXED), strict=True):
        check_words(answer, item.waveform.duration_s)


def check_words(answer: Hypothesis, duration_s: float) -> None:
    times = [time for word in answer.words for time in (word.start_s, word.end_s)]
    assert all(earlier <= later for earlier, later in pairwise([0.0, *times, duration_s]))
    assert all(word.start_s < word.end_s for word in answer.words)
    assert answer.text == " ".join(word.text for word in answer.words)
    assert all(0 < (word.confidence or 0) <= 1 for word in answer.words)
    assert answer.avg_logprob is None or answer.avg_logprob <= 0


def test_says_what_it_can_do(engine: Engine) -> None:
    info = engine.info
    assert info.languages
    assert info.speed > 0
    assert info.max_batch_s >= 30.0


def test_a_second_engine_says_the_same(engine: Engine) -> None:
    other = make_engine(engine.info.model, EngineOptions(engine.info.model))
    other.load()
    assert answers(other, *MIXED) == answers(engine, *MIXED)
