"""What every text engine promises, asked of each: count, order, repetition, independence."""

from __future__ import annotations

import pytest

from scripts.make_random_punc import write_random_punc
from voxfleet.engines.ct_punc import CtPuncEngine
from voxfleet.engines.itn import ItnEngine
from voxfleet.engines.text_engine import TextEngine

TEXTS = ["twenty three people", "", "一百二十三块五毛", "hello", 'a \0 \\ " { } b', "三点半"]


@pytest.fixture(scope="module", params=["itn", "ct-punc"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextEngine:
    made: TextEngine = ItnEngine()
    if request.param == "ct-punc":
        made = CtPuncEngine(write_random_punc(tmp_path_factory.mktemp("made") / "ct-punc"))
    made.load()
    made.warm_up()
    return made


def test_an_empty_batch_has_no_answers(engine: TextEngine) -> None:
    assert engine.process([]) == []


def test_one_answer_each_in_order_whoever_is_beside(engine: TextEngine) -> None:
    alone = [engine.process([text])[0] for text in TEXTS]
    assert engine.process(TEXTS) == alone
    assert engine.process(TEXTS[::-1]) == alone[::-1]
    assert len(set(map(str, alone))) == len(TEXTS)


def test_every_answer_can_be_sent(engine: TextEngine) -> None:
    for answer in engine.process(TEXTS):
        assert isinstance(answer, str)
        assert answer.encode().decode() == answer
