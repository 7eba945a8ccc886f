"""FunASR itself reads the tone checkpoint as we do: texts, hotwords and time stamps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tone_speech import Spoken, heard, random_manner, random_pieces, speak, speak_pieces
from voxfleet.paraformer.loading import load_recogniser
from voxfleet.paraformer.recogniser import Recognised, Recogniser, Utterance

funasr = pytest.importorskip(
    "funasr", reason="funasr is not installed: `make test-parity` installs it"
)

pytestmark = pytest.mark.filterwarnings("default")

FOLDER = Path(__file__).resolve().parent.parent / "checkpoints" / "tone"


@pytest.fixture(scope="module")
def ours() -> Recogniser:
    return load_recogniser(FOLDER, "cpu", "float32", threads=1).recogniser


@pytest.fixture(scope="module")
def theirs() -> Any:
    return funasr.AutoModel(model=str(FOLDER), device="cpu", disable_update=True, disable_pbar=True)


def compare(ours: Recogniser, theirs: Any, spoken: Spoken, words: tuple[str, ...]) -> Recognised:
    sound = spoken.samples.astype(np.float32) / 32768
    said = theirs.generate(input=sound, hotword=" ".join(words) or None)[0]
    found = ours.recognise([Utterance(spoken.samples, words)])[0]
    assert found.text.replace(" ", "") == said["text"].replace(" ", "")
    times = [(round(word.start_s * 1000), round(word.end_s * 1000)) for word in found.words]
    # FunASR's last word may end after the sound does, by part of an encoder frame
    duration = len(sound) / 16
    for mine, other in zip(times, said["timestamp"], strict=True):
        assert max(abs(mine[0] - other[0]), abs(mine[1] - min(other[1], duration))) <= 1
    return found


def test_texts_and_times_in_every_manner(ours: Recogniser, theirs: Any) -> None:
    rng = np.random.default_rng(42_000_000)
    for _ in range(30):
        pieces = random_pieces(rng, int(rng.integers(2, 15)))
        assert compare(ours, theirs, speak_pieces(pieces, random_manner(rng), rng), ()).text


@pytest.mark.parametrize("words", [("它好",), ("它好", "语花"), ("国羽",)])
def test_hotwords(ours: Recogniser, theirs: Any, words: tuple[str, ...]) -> None:
    text = "他好天他大雨花"
    assert compare(ours, theirs, speak(text), words).text == heard(text, words)
