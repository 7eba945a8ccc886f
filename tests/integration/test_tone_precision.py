"""Every precision reads the tone language exactly, with and without hotwords, in any batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tone_speech import (
    heard,
    heard_pieces,
    random_manner,
    random_pieces,
    speak,
    speak_pieces,
    written,
)

pytest.importorskip("torch")

from voxfleet.paraformer.loading import load_recogniser
from voxfleet.paraformer.recogniser import Recogniser, Utterance

FOLDER = Path(__file__).resolve().parent.parent / "checkpoints" / "tone"
#: of no utterance in training
SEED = 41_000_000


@pytest.fixture(scope="module", params=["float32", "bfloat16", "float16", "int8"])
def recogniser(request: pytest.FixtureRequest) -> Recogniser:
    return load_recogniser(FOLDER, "cpu", request.param, threads=2).recogniser


def test_a_hundred_texts_in_every_manner(recogniser: Recogniser) -> None:
    rng = np.random.default_rng(SEED)
    spoken = [
        speak_pieces(random_pieces(rng, int(rng.integers(1, 20))), random_manner(rng), rng)
        for _ in range(100)
    ]
    batch = [Utterance(each.samples) for each in spoken]
    found = [
        one.text for at in range(0, 100, 25) for one in recogniser.recognise(batch[at : at + 25])
    ]
    assert found == [written(heard_pieces(each.pieces)) for each in spoken]


def test_hotwords_of_each_item(recogniser: Recogniser) -> None:
    text = "他好天他大雨花地雨今山人"
    samples = speak(text, seed=SEED).samples
    lists: list[tuple[str, ...]] = [(), ("它好",), ("她大", "语花"), ("国羽",), ("天它", "今山")]
    found = recogniser.recognise([Utterance(samples, words) for words in lists])
    assert [one.text for one in found] == [heard(text, words) for words in lists]
