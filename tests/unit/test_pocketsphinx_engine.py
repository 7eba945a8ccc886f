"""The bundled English model: clean words, silence, no memory of what came before."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tests.integration.worker_rig import noise, segment
from voxfleet.core import SAMPLE_RATE_HZ, Hypothesis, Word
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.pocketsphinx import PocketsphinxEngine, hypothesis_from
from voxfleet.errors import StartError

JFK = "audio/en/jfk.flac"
LIBRISPEECH = "audio/en/librispeech-1995-1837-0001.wav"
BRIDGE = "audio/formats/google_brooklyn_bridge.flac"


@dataclass(frozen=True)
class Decoded:
    word: str
    start_frame: int
    end_frame: int
    prob: float


def loaded() -> PocketsphinxEngine:
    engine = PocketsphinxEngine(EngineOptions("pocketsphinx"))
    engine.load()
    return engine


@pytest.fixture(scope="module")
def engine() -> PocketsphinxEngine:
    return loaded()


def recording(speech_dir: Path, name: str) -> NDArray[np.int16]:
    sound, rate = soundfile.read(speech_dir / name, dtype="float32", always_2d=True)
    mono = np.asarray(sound, np.float32).mean(axis=1)
    resampled: NDArray[np.float32] = soxr.resample(mono, rate, SAMPLE_RATE_HZ)
    return np.clip(np.rint(resampled * 32768), -32768, 32767).astype(np.int16)


def cut(samples: NDArray[np.int16], start_s: float, end_s: float) -> NDArray[np.int16]:
    return samples[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]


def hear(engine: PocketsphinxEngine, *sounds: NDArray[np.int16]) -> list[Hypothesis]:
    answers = engine.recognise([segment(sound) for sound in sounds])
    return [answer for answer in answers if isinstance(answer, Hypothesis)]


def test_marks_and_variants_are_not_words() -> None:
    heard = [
        Decoded("<s>", 0, 9, 1.0002),
        Decoded("the(2)", 10, 19, 0.5),
        Decoded("[NOISE]", 20, 24, 0.9),
        Decoded("++UH++", 25, 26, 0.9),
        Decoded("<sil>", 27, 28, 1.0),
        Decoded("end", 29, 49, 1.0001),
        Decoded("</s>", 50, 60, 1.0),
    ]
    words = (Word("the", 0.10, 0.20, 0.5), Word("end", 0.29, 0.50, 1.0))
    assert hypothesis_from(heard) == Hypothesis(
        "the end", words, language="en", avg_logprob=math.log(0.5) / 2
    )


def test_nothing_heard_is_an_empty_text() -> None:
    assert hypothesis_from([Decoded("<s>", 0, 9, 1.0)]) == Hypothesis("", language="en")


def test_a_word_of_no_probability_has_a_finite_logarithm() -> None:
    assert hypothesis_from([Decoded("a", 0, 1, 0.0)]).avg_logprob == pytest.approx(math.log(1e-4))


@pytest.mark.parametrize("count", [0, 1, 399, 410, 1599, 1600, 4000])
@pytest.mark.parametrize("value", [0, 3, 32767, -32768])
def test_stillness_and_scraps_are_empty_and_quiet(
    engine: PocketsphinxEngine, capfd: pytest.CaptureFixture[str], count: int, value: int
) -> None:
    assert [answer.text for answer in hear(engine, np.full(count, value, np.int16))] == [""]
    assert capfd.readouterr() == ("", "")


def test_seconds_of_stillness_are_empty(engine: PocketsphinxEngine) -> None:
    # the decoder alone makes a word of them
    assert [answer.text for answer in hear(engine, np.zeros(40_000, np.int16))] == [""]


def test_loudest_noise_breaks_nothing(engine: PocketsphinxEngine) -> None:
    loudest = np.random.default_rng(3).choice([-32768, 32767], 12_000).astype(np.int16)
    assert len(hear(engine, loudest, noise(0.1))) == 2


def test_runs_on_the_cpu_only() -> None:
    with pytest.raises(StartError, match="runs on the CPU only, not on 'cuda:0'"):
        PocketsphinxEngine(EngineOptions("pocketsphinx", "cuda:0")).load()


def test_asked_before_it_was_loaded() -> None:
    with pytest.raises(StartError, match="before it was loaded"):
        PocketsphinxEngine(EngineOptions("pocketsphinx")).recognise([segment(noise(1.0))])


@pytest.mark.speech
def test_no_answer_depends_on_what_was_heard_before(
    engine: PocketsphinxEngine, speech_dir: Path
) -> None:
    jfk = recording(speech_dir, JFK)
    sounds = [recording(speech_dir, BRIDGE), cut(jfk, 0.2, 2.4), noise(0.5)]
    alone = [hear(engine, sound)[0] for sound in sounds]
    assert alone[0].text == "how old is the brooklyn bridge"
    for order in list(permutations(range(3)))[1:4]:
        heard = hear(engine, *(sounds[index] for index in order))
        assert heard == [alone[index] for index in order]
    assert hear(loaded(), *reversed(sounds)) == alone[::-1]


@pytest.mark.speech
def test_word_error_rate_of_read_and_spoken_english(
    engine: PocketsphinxEngine, speech_dir: Path
) -> None:
    jfk = recording(speech_dir, JFK)
    heard = hear(
        engine, cut(jfk, 0.2, 4.7), cut(jfk, 5.1, 11.0), recording(speech_dir, LIBRISPEECH)
    )
    text = " ".join(answer.text for answer in heard)
    wanted = f"{reference(speech_dir, JFK)} {reference(speech_dir, LIBRISPEECH)}"
    assert jiwer.wer(plain(wanted), plain(text)) < 0.30


def reference(speech_dir: Path, name: str) -> str:
    lines = (speech_dir / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return str(next(row["text"] for row in map(json.loads, lines) if row["file"] == name))


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower()))
