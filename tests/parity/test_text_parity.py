"""Our words, text and token times against FunASR's own, and where they differ, why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfleet.paraformer.timestamps import FIRE_THRESHOLD, fire_frames, token_spans
from voxfleet.paraformer.tokens import Token, Vocabulary, read_vocabulary, text_from, words_from

pytest.importorskip("funasr", reason="funasr is not installed: `make test-parity` installs it")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("default")

HEAD_UNIT_S, ENCODER_UNIT_S = 0.02, 0.06
#: how near float32 sums may come to the threshold on the other side than ours
TIE = 1e-5
SEQUENCES = 20_000
CURVES = 500


@pytest.fixture(scope="module")
def vocabulary(speech_dir: Path) -> Vocabulary:
    return read_vocabulary(speech_dir / "models" / "seaco-paraformer-config" / "tokens.json")


def funasr_text(pieces: list[str]) -> str:
    from funasr.utils.postprocess_utils import sentence_postprocess

    text: str = sentence_postprocess(list(pieces))[0]
    return text


def spoken(pieces: list[str]) -> list[Token]:
    return [Token(piece, index / 2, index / 2 + 0.25, 0.5) for index, piece in enumerate(pieces)]


def our_text(pieces: list[str]) -> str:
    return text_from(words_from(spoken(pieces)))


class Sentences:
    """Random piece sequences: runs of Han, words, letters, digits and words of several pieces."""

    def __init__(self, vocabulary: Vocabulary, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        pieces = vocabulary.pieces[3:]
        self.han = [piece for piece in pieces if "\u4e00" <= piece[0] <= "\u9fff"]
        self.digits = [piece for piece in pieces if piece.isdigit() and piece.isascii()]
        letters = [piece for piece in pieces if piece.replace("'", "a").isascii()]
        self.letters = [piece for piece in letters if len(piece) == 1 and piece.isalpha()]
        self.whole = [piece for piece in letters if piece.replace("'", "").isalpha()] + ["'"]
        self.begun = [
            piece for piece in letters if piece.endswith("@@") and piece[0] not in "0123456789"
        ]

    def _some(self, pieces: list[str], most: int) -> list[str]:
        count = int(self._rng.integers(1, most + 1))
        return [pieces[index] for index in self._rng.integers(0, len(pieces), count)]

    def _part(self) -> list[str]:
        kind = int(self._rng.integers(0, 6))
        if kind == 5:
            # a begun word ends in a whole piece: what FunASR does otherwise is tested below
            return self._some(self.begun, 3) + self._some(self.whole, 1)
        kinds = (self.han, self.whole, self.letters, self.digits, ["<unk>", "@"])
        return self._some(kinds[kind], 4 if kind < 4 else 1)

    def sentence(self) -> list[str]:
        parts = int(self._rng.integers(0, 7))
        return [piece for _ in range(parts) for piece in self._part()]


@pytest.mark.speech
def test_texts_of_random_tokens_are_the_same(vocabulary: Vocabulary) -> None:
    sentences = Sentences(vocabulary, 1)
    for _ in range(SEQUENCES):
        pieces = sentences.sentence()
        assert our_text(pieces) == funasr_text(pieces), pieces


@pytest.mark.speech
def test_every_piece_of_the_vocabulary_reads_the_same(vocabulary: Vocabulary) -> None:
    different = {
        piece
        for piece in vocabulary.pieces[3:]
        for pieces in ([piece, "lo"], ["hi", piece, "lo"], ["中", piece, "lo"], [piece, "a", "b"])
        if our_text(pieces) != funasr_text(pieces)
    }
    # digits that go on, and a Han character outside FunASR's range: see below
    assert different == {f"{digit}@@" for digit in "0123569"} | {"𫖯"}


@pytest.mark.speech
def test_words_and_their_times_are_the_same(vocabulary: Vocabulary) -> None:
    from funasr.utils.postprocess_utils import sentence_postprocess

    sentences = Sentences(vocabulary, 2)
    for _ in range(SEQUENCES // 4):
        tokens = spoken([piece for piece in sentences.sentence() if piece != "<unk>"])
        times = [[token.start_s, token.end_s] for token in tokens]
        _, spans, texts = sentence_postprocess([token.piece for token in tokens], times)
        words = words_from(tokens)
        assert [word.text for word in words] == texts
        assert [[word.start_s, word.end_s] for word in words] == spans


@pytest.mark.parametrize(
    ("line", "theirs", "ours"),
    [
        # FunASR loses a word whose last piece never came
        ("中 hel@@", "中", "中hel"),
        # and says it after the Chinese or the sign that follows it
        ("hel@@ 中 lo", "中hello", "hel中lo"),
        ("hel@@ & lo", "&hello", "hel&lo"),
        # it takes a digit with its mark of going on for Chinese, and prints the mark
        ("1@@ 5 个", "1@@5个", "15个"),
        ("hello 1@@ and you", "hello1@@and you", "hello1and you"),
        # a sign between a Latin word and Chinese is lost in the place of a space
        ("hello & 中", "hello 中", "hello &中"),
        # Han outside its one range is written like a Latin word
        ("𫖯 中 𫖯 国 𫖯 𫖯", "𫖯中𫖯国𫖯 𫖯", "𫖯中𫖯国𫖯𫖯"),
    ],
)
def test_text_differs_where_funasr_is_wrong(line: str, theirs: str, ours: str) -> None:
    pieces = line.split()
    assert funasr_text(pieces) == theirs
    assert our_text(pieces) == ours


def test_an_unknown_piece_does_not_shift_the_times_of_what_follows() -> None:
    from funasr.utils.postprocess_utils import sentence_postprocess

    tokens = spoken(["中", "<unk>", "国"])
    times = [[token.start_s, token.end_s] for token in tokens]
    _, spans, texts = sentence_postprocess([token.piece for token in tokens], times)
    # FunASR drops the piece but not its time, so the second word gets the unknown one's
    assert texts == ["中", "国"]
    assert spans[1] == [0.5, 0.75]
    assert [word.start_s for word in words_from(tokens)] == [0.0, 1.0]


def head_curve(rng: np.random.Generator) -> NDArray[np.float32]:
    """What the timestamp head may say: weights of at most 0.24 per frame, many of them zero."""
    frames = 3 * int(rng.integers(2, 200))
    speech = np.clip(rng.normal(rng.choice([-0.05, 0.02, 0.06]), 0.08, frames), 0, 0.24)
    quiet = np.repeat(rng.random(frames // 3) < rng.choice([0.0, 0.2, 0.5]), 3)
    return np.where(quiet, 0, speech).astype(np.float32)


def encoder_curve(rng: np.random.Generator) -> NDArray[np.float32]:
    """What the token head may say: weights below 1, and the 0.45 of the tail."""
    frames = int(rng.integers(2, 200))
    speech = rng.beta(0.4, rng.choice([0.8, 1.5, 4]), frames)
    return np.append(speech, 0.45).astype(np.float32)


def spans_by_funasr(
    alphas: NDArray[np.float32], peaks: Any, token_count: int, upsampled: int
) -> list[list[int]]:
    from funasr.utils.timestamp_tools import ts_prediction_lfr6_standard

    spans: list[list[int]] = ts_prediction_lfr6_standard(
        torch.from_numpy(alphas.copy()), peaks, ["中"] * token_count, upsample_rate=upsampled
    )[1]
    return spans


def head_peaks(alphas: NDArray[np.float32]) -> Any:
    from funasr.models.bicif_paraformer.cif_predictor import cif_wo_hidden

    return cif_wo_hidden(torch.from_numpy(alphas.copy())[None], FIRE_THRESHOLD)[0]


def encoder_peaks(alphas: NDArray[np.float32]) -> Any:
    from funasr.models.paraformer.cif_predictor import cif_wo_hidden_v1

    return cif_wo_hidden_v1(torch.from_numpy(alphas.copy())[None], 1.0)[0]


def near_a_tie(alphas: NDArray[np.float64], threshold: float) -> bool:
    """Whether some running sum is so near the threshold that float32 may not see the side."""
    total, nearest = 0.0, np.inf
    for alpha in alphas.tolist():
        total += alpha
        nearest = min(nearest, abs(total - threshold))
        total -= threshold if total >= threshold else 0.0
    return bool(nearest < TIE)


def undecided(alphas: NDArray[np.float32], token_count: int, threshold: float) -> bool:
    precise = alphas.astype(np.float64)
    if near_a_tie(precise, threshold):
        return True
    rescaled = precise / precise.sum() * (token_count + 1)
    refires = len(fire_frames(alphas, threshold)) != token_count + 1
    return refires and near_a_tie(rescaled, FIRE_THRESHOLD)


def assert_same_times(ours: list[tuple[float, float]], theirs: list[list[int]]) -> None:
    # FunASR lets the first token begin before the sound
    expected = np.maximum(theirs, 0)
    assert np.abs(np.array(ours) * 1000 - expected).max() < 1.0 + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_times_of_the_timestamp_head_are_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    compared = 0
    for turn in range(CURVES):
        alphas = head_curve(rng)
        total = int(alphas.sum())
        if total < 2:
            continue
        # mostly scaled as the predictor does it, so that the first firing has the right number
        if turn % 3:
            alphas = (alphas * (total / alphas.sum())).astype(np.float32)
        count = total - 1 if turn % 3 else int(rng.integers(1, total + 3))
        theirs = spans_by_funasr(alphas, head_peaks(alphas), count, 3)
        if undecided(alphas, count, FIRE_THRESHOLD) or len(theirs) != count:
            continue
        assert_same_times(token_spans(alphas, count, HEAD_UNIT_S), theirs)
        compared += 1
    assert compared > CURVES // 2


@pytest.mark.parametrize("seed", range(4))
def test_times_of_the_token_head_are_the_same(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    compared = 0
    for turn in range(CURVES):
        alphas = encoder_curve(rng)
        total = int(alphas.sum())
        count = total - 1 if turn % 3 else int(rng.integers(1, total + 3))
        if count < 1 or undecided(alphas, count, 1.0):
            continue
        peaks = encoder_peaks(alphas)
        # FunASR counts a remainder above 1 - 1e-4 as a fire
        remainder = peaks[peaks < 1]
        if len(remainder) and float(remainder.max()) > FIRE_THRESHOLD:
            continue
        theirs = spans_by_funasr(alphas, peaks, count, 1)
        if len(theirs) != count:
            continue
        assert_same_times(token_spans(alphas, count, ENCODER_UNIT_S, threshold=1.0), theirs)
        compared += 1
    assert compared > CURVES // 2


def test_plain_paraformer_in_funasr_tells_times_of_the_wrong_curve() -> None:
    """Its call gives the running sums as the weights and the weights as the running sums.

    A remainder that stands still through a silence then adds up, and puts tokens there.
    """
    alphas = np.zeros(61, np.float32)
    # five tokens and the end: three spoken from 0.6 s, two from 3.3 s
    alphas[[10, 12, 14, 55, 57, 59]] = 0.9
    alphas[[11, 13, 15, 56, 58, 60]] = 0.15
    sums = encoder_peaks(alphas)
    theirs = spans_by_funasr(sums.numpy(), torch.from_numpy(alphas), 5, 1)
    inside_silence = [start for start, _ in theirs if 1200 < start < 3000]
    assert len(inside_silence) >= 2
    ours = token_spans(alphas, 5, ENCODER_UNIT_S, threshold=1.0)
    assert [start for start, _ in ours if 1.2 < start < 3.0] == []
