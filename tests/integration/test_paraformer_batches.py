"""The same answer alone and in any company, for every architecture, reader and kind of sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.integration.checkpoint_rig import ARCHITECTURES, change_weights, random_checkpoint
from voxfleet.core import SAMPLE_RATE_HZ, Word
from voxfleet.paraformer.batch_reader import BatchReader
from voxfleet.paraformer.checkpoint import load_network, read_checkpoint
from voxfleet.paraformer.cpu_reader import CpuReader
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.precision import Precision, set_precision
from voxfleet.paraformer.recogniser import Reader, Recognised, Recogniser, Utterance

#: how far a confidence may be moved by the company
CONFIDENCE = 1e-3
CPU = torch.device("cpu")
READERS: dict[str, Callable[[ParaformerNetwork], Reader]] = {
    "alone on 1 thread": lambda network: CpuReader(network, 1),
    "alone on 2 threads": lambda network: CpuReader(network, 2),
    "padded": lambda network: BatchReader(network, CPU, graphs=False),
    "padded in small passes": lambda network: BatchReader(
        network, CPU, graphs=False, max_frames=100
    ),
}
ONE_THREAD = "alone on 1 thread"
MANY_WORDS = tuple(
    chr(0x4E00 + first) + chr(0x4E00 + second) for first in range(9) for second in range(9)
)


def noise(seconds: float, loudness: float = 3000, seed: int = 0) -> NDArray[np.int16]:
    draw = np.random.default_rng(seed)
    sound = draw.normal(0, loudness, round(seconds * SAMPLE_RATE_HZ))
    # it comes and goes, so that its frames differ
    swell = np.abs(np.sin(np.arange(len(sound)) / 2500))
    return (sound * swell).clip(-32768, 32767).astype(np.int16)


def square_wave(seconds: float) -> NDArray[np.int16]:
    """Clipped at full scale."""
    places = np.arange(round(seconds * SAMPLE_RATE_HZ))
    return np.where(places // 36 % 2, 32767, -32768).astype(np.int16)


def silence(seconds: float) -> NDArray[np.int16]:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


#: what batches are drawn from; lists of hotwords belong to their item
POOL = (
    Utterance(noise(2.0)),
    Utterance(noise(3.1, seed=1), ("丁丂",)),
    Utterance(noise(0.7, seed=2), ("hello", "不可能", "七七")),
    Utterance(noise(5.0, loudness=20, seed=3), MANY_WORDS),
    Utterance(noise(4.2, loudness=30_000, seed=4)),
    Utterance(square_wave(1.5), ("abc",)),
    Utterance(silence(2.5)),
    Utterance(silence(0.4), ("丁丂",)),
    Utterance(noise(0.01)),
    Utterance(noise(0.03)),
    Utterance(np.zeros(0, np.int16), ("hello",)),
    Utterance(noise(2.0), ("丁丂", "world")),
)


@cache
def checkpoint_of(root: Path, architecture: str) -> Path:
    folder = random_checkpoint(root, architecture)
    if architecture == "seaco":
        change_weights(folder, heed_hotwords)
    return folder


def heed_hotwords(weights: dict[str, torch.Tensor]) -> None:
    """So that the lists decide more of the tokens."""
    weights["hotword_output_layer.weight"].mul_(2)


def speak_rarely(weights: dict[str, torch.Tensor]) -> None:
    """So that half a second holds no token."""
    weights["predictor.cif_output.bias"].fill_(math.log(0.05 / 0.95))


def recogniser_of(
    folder: Path, reader: str, precision: Precision = Precision.FLOAT32
) -> Recogniser:
    checkpoint = read_checkpoint(folder)
    network = load_network(checkpoint)
    set_precision(network, precision)
    return Recogniser(checkpoint, network, READERS[reader](network))


@dataclass(frozen=True, slots=True)
class Rig:
    recogniser: Recogniser
    alone: tuple[Recognised, ...]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("batches")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, root: Path) -> Path:
    return checkpoint_of(root, request.param)


@pytest.fixture(scope="module", params=READERS)
def rig(request: pytest.FixtureRequest, folder: Path) -> Rig:
    recogniser = recogniser_of(folder, request.param)
    return Rig(recogniser, tuple(recogniser.recognise([item])[0] for item in POOL))


def assert_same(found: Recognised, alone: Recognised) -> None:
    assert found.text == alone.text
    assert found.token_ids == alone.token_ids
    assert found.unknown_hotwords == alone.unknown_hotwords
    assert [timed(word) for word in found.words] == [timed(word) for word in alone.words]
    for word, same in zip(found.words, alone.words, strict=True):
        assert word.confidence == pytest.approx(same.confidence, abs=CONFIDENCE)


def timed(word: Word) -> tuple[str, float, float]:
    return word.text, word.start_s, word.end_s


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(places=st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=9))
def test_company_changes_nothing(rig: Rig, places: list[int]) -> None:
    found = rig.recogniser.recognise([POOL[place] for place in places])
    for place, answer in zip(places, found, strict=True):
        assert_same(answer, rig.alone[place])


def test_the_whole_pool_in_one_batch_and_backwards(rig: Rig) -> None:
    for answer, alone in zip(rig.recogniser.recognise(POOL), rig.alone, strict=True):
        assert_same(answer, alone)
    backwards = rig.recogniser.recognise(POOL[::-1])
    for answer, alone in zip(backwards, rig.alone[::-1], strict=True):
        assert_same(answer, alone)


def test_readers_agree(folder: Path) -> None:
    answers = [recogniser_of(folder, reader).recognise(POOL) for reader in READERS]
    for other in answers[1:]:
        for found, same in zip(other, answers[0], strict=True):
            assert_same(found, same)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.BFLOAT16, Precision.FLOAT16])
def test_on_a_cpu_company_changes_nothing_at_any_precision(
    root: Path, precision: Precision
) -> None:
    """Above all no scale of int8: a loud neighbour must not drown a quiet item."""
    recogniser = recogniser_of(checkpoint_of(root, "seaco"), ONE_THREAD, precision)
    for item, found in zip(POOL, recogniser.recognise(POOL), strict=True):
        assert_same(found, recogniser.recognise([item])[0])


def test_the_pool_says_something(rig: Rig) -> None:
    """Or the tests above would compare nothing with nothing."""
    assert sum(bool(answer.text) for answer in rig.alone) >= 7
    assert len({answer.text for answer in rig.alone}) >= 6


def test_hotwords_are_each_items_own(root: Path) -> None:
    recogniser = recogniser_of(checkpoint_of(root, "seaco"), ONE_THREAD)
    sound = noise(4.0, seed=7)
    lists: Sequence[tuple[str, ...]] = ((), ("丁丂",), MANY_WORDS, ("hello", "world"), ())
    alone = [recogniser.recognise([Utterance(sound, words)])[0] for words in lists]
    together = recogniser.recognise([Utterance(sound, words) for words in lists])
    for found, same in zip(together, alone, strict=True):
        assert_same(found, same)
    # and lists matter: the same sound is not always the same text
    assert len({answer.text for answer in alone}) > 1


def test_words_nobody_can_write_are_told_by_item(root: Path) -> None:
    recogniser = recogniser_of(checkpoint_of(root, "seaco"), ONE_THREAD)
    lists = (("龘龘", "丁丂"), (), ("zzz",))
    answers = recogniser.recognise([Utterance(noise(1.0), words) for words in lists])
    assert [answer.unknown_hotwords for answer in answers] == [("龘龘",), (), ("zzz",)]


HARD = {
    "10 ms": noise(0.01),
    "silence": silence(3.0),
    "clipped square wave": square_wave(3.0),
    "white noise": noise(3.0, loudness=8000, seed=5),
    "one click": np.where(np.arange(16_000) == 8_000, 32767, 0).astype(np.int16),
    "30 s": noise(30.0, seed=6),
}


@pytest.mark.parametrize("kind", HARD)
def test_hard_sounds_have_sound_answers(rig: Rig, kind: str) -> None:
    samples = HARD[kind]
    hard, neighbour = rig.recogniser.recognise([Utterance(samples), POOL[0]])
    assert_same(neighbour, rig.alone[0])
    assert_same(hard, rig.recogniser.recognise([Utterance(samples)])[0])
    times = [time for word in hard.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert all(0 <= time <= len(samples) / SAMPLE_RATE_HZ for time in times)
    assert all(math.isfinite(word.confidence or math.nan) for word in hard.words)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_item_without_tokens_does_not_empty_its_neighbours(
    tmp_path: Path, architecture: str, reader: str
) -> None:
    folder = random_checkpoint(tmp_path, architecture)
    change_weights(folder, speak_rarely)
    recogniser = recogniser_of(folder, reader)
    spoken, silent = Utterance(noise(6.0), ("丁丂",)), Utterance(silence(0.5), ("hello",))
    (alone,) = recogniser.recognise([spoken])
    assert alone.text
    for batch in ([silent, spoken], [spoken, silent, silent], [silent, silent]):
        for item, answer in zip(batch, recogniser.recognise(batch), strict=True):
            assert_same(answer, alone if item is spoken else Recognised("", (), ()))


def test_no_items_have_no_answers(rig: Rig) -> None:
    assert rig.recogniser.recognise([]) == []
