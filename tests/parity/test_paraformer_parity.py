"""The whole of Paraformer against FunASR: same full-size random weights, same recordings.

Bounded to some short clips of each architecture; VOXFLEET_PARITY_ALL=1 takes every recording whole
(to 30 s). Without recordings the bundled clip and made sound stand in.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scripts.make_random_checkpoint import write_random_checkpoint
from tests.conftest import SPEECH_VARIABLE
from tests.integration.checkpoint_rig import ARCHITECTURES
from tests.parity.paraformer_witness import SHORTLIST, Clip, FunasrWitness, OurWitness
from voxfleet.audio.decode import open_audio
from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.errors import AudioError
from voxfleet.paraformer.precision import Precision

pytest.importorskip("funasr", reason="funasr is not installed: `make test-parity` installs it")
pytestmark = pytest.mark.filterwarnings("default")

#: read at import: a test's own environment has no settings
ALL = bool(os.environ.get("VOXFLEET_PARITY_ALL"))
LONGEST_S = 30 if ALL else 4
SOME = 12
#: what the made ones among the clips last
SCRAPS_S = (0.03, 0.1, 0.5)
LIST_LENGTHS = (0, 3, 40, 200)
#: clips of a padded batch, calls of AutoModel, clips in each precision
PADDED_S, GENERATED, PRECISION_CLIPS = 8, 4, 4
HAN = re.compile("[\u4e00-\u9fff]")


def decoded(path: Path) -> NDArray[np.int16]:
    with open_audio(path, path.name) as stream:
        return stream.read(SAMPLE_RATE_HZ * LONGEST_S)[:, 0].copy()


def recordings(folder: Path) -> Iterator[Clip]:
    paths = sorted(path for path in (folder / "audio").rglob("*.*") if path.is_file())
    for path in paths if ALL else paths[5 :: len(paths) // SOME]:
        try:
            samples = decoded(path)
        except AudioError:
            continue
        if len(samples) >= 400:
            yield Clip(str(path.relative_to(folder / "audio")), samples)


def made(seconds: float, seed: int) -> Clip:
    """Noise that comes and goes: whatever is heard in it, both hear the same."""
    draw = np.random.default_rng(seed)
    samples = draw.normal(0, 3000, round(seconds * SAMPLE_RATE_HZ))
    swell = np.abs(np.sin(np.arange(len(samples)) / 2500))
    return Clip(f"made {seconds} s", (samples * swell).astype(np.int16))


@pytest.fixture(scope="module")
def speech() -> Path | None:
    value = os.environ.get(SPEECH_VARIABLE)
    return Path(value) if value else None


@pytest.fixture(scope="module")
def clips(speech: Path | None, sample_clip: Path) -> list[Clip]:
    found = [made(seconds, place) for place, seconds in enumerate(SCRAPS_S)]
    found += recordings(speech) if speech else (made(seconds, 9) for seconds in (2, 4))
    return [*found, Clip("hello.wav", decoded(sample_clip))]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(
    architecture: str, speech: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("full")
    published = speech / "models" / "seaco-paraformer-config" if speech else None
    write_random_checkpoint(
        path,
        architecture,
        "full",
        tokens=published / "tokens.json" if published else None,
        cmvn=published / "am.mvn" if published else None,
    )
    yield path
    # a gigabyte each
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> FunasrWitness:
    return FunasrWitness(folder)


@pytest.fixture(scope="module")
def ours(folder: Path) -> OurWitness:
    return OurWitness(folder)


def hotwords(ours: OurWitness, place: int) -> list[str]:
    """Lists of different lengths, of words that the vocabulary can say."""
    han = [piece for piece in ours.vocabulary.pieces if HAN.fullmatch(piece)]
    draw = np.random.default_rng(place)
    lengths = draw.integers(1, 6, LIST_LENGTHS[place % len(LIST_LENGTHS)])
    return list(dict.fromkeys("".join(draw.choice(han, length)) for length in lengths))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of one clip with one list of hotwords, theirs first; differences are the largest ones.

    `encoder_difference` and `log_prob_difference` are those of the network alone, on FunASR's
    features. On our own, the features' rounding adds up along a long clip to a shift of its tokens
    by some 1e-4 of a frame: `heard_difference`, of log probabilities too.
    """

    clip: Clip
    words: Sequence[str]
    ids: tuple[list[int], list[int]]
    texts: tuple[str, str]
    encoder_difference: float
    log_prob_difference: float
    heard_difference: float
    time_difference_ms: float


def compare(
    clip: Clip, words: Sequence[str], theirs: FunasrWitness, ours: OurWitness
) -> Comparison:
    expected, found = theirs.hear(clip, words), ours.hear(clip, words)
    same_features = ours.hear(clip, words, expected.features)
    assert expected.log_probs.shape == found.log_probs.shape, clip.name
    return Comparison(
        clip,
        words,
        (expected.ids, found.ids),
        (expected.text, found.text),
        _largest(expected.hidden - same_features.hidden),
        _largest(expected.log_probs - same_features.log_probs),
        _largest(expected.log_probs - found.log_probs),
        _time_difference_ms(clip, expected.spans_ms, found.spans_ms),
    )


def _largest(difference: torch.Tensor) -> float:
    return float(difference.abs().max()) if difference.numel() else 0.0


def _time_difference_ms(
    clip: Clip, theirs: list[tuple[float, float]] | None, ours: list[tuple[float, float]] | None
) -> float:
    if not theirs or ours is None:
        return 0.0
    assert len(theirs) == len(ours)
    # FunASR lets the first token begin before the sound and the last end after it
    inside = np.clip(np.array(theirs), 0, clip.duration_s * 1000)
    return float(np.abs(inside - np.array(ours)).max())


@pytest.fixture(scope="module")
def comparisons(
    architecture: str, clips: list[Clip], theirs: FunasrWitness, ours: OurWitness
) -> list[Comparison]:
    found = []
    for place, clip in enumerate(clips):
        words = hotwords(ours, place) if architecture == "seaco" else []
        found.append(compare(clip, words, theirs, ours))
    return found


def tell(record: pytest.FixtureRequest, **numbers: object) -> None:
    """Seen under -s: what was measured, not only that it was within bounds."""
    line = ", ".join(f"{name} {value}" for name, value in numbers.items())
    sys.stdout.write(f"\n{record.node.name}: {line}\n")


def test_every_token_is_the_same(
    comparisons: list[Comparison], request: pytest.FixtureRequest
) -> None:
    tokens = sum(len(each.ids[0]) for each in comparisons)
    tell(
        request,
        clips=len(comparisons),
        seconds=round(sum(each.clip.duration_s for each in comparisons)),
        tokens=tokens,
    )
    different = [each.clip.name for each in comparisons if each.ids[0] != each.ids[1]]
    assert different == []
    assert tokens > 2 * sum(each.clip.duration_s for each in comparisons)


def test_log_probabilities_are_the_same(
    comparisons: list[Comparison], request: pytest.FixtureRequest
) -> None:
    worst = max(comparisons, key=lambda each: each.log_prob_difference)
    encoder = max(each.encoder_difference for each in comparisons)
    heard = max(each.heard_difference for each in comparisons)
    tell(request, log_probs=worst.log_prob_difference, encoder=encoder, own_features=heard)
    assert worst.log_prob_difference < 1e-3
    assert heard < 3e-3
    assert encoder < 1e-3


@pytest.mark.parametrize("architecture", ["seaco"], indirect=True, scope="module")
def test_hotwords_had_a_say(comparisons: list[Comparison], ours: OurWitness) -> None:
    """Or nothing was compared of the bias decoder but that it keeps silent."""
    listed = [each for each in comparisons if each.words][:6]
    without = [ours.hear(each.clip).ids for each in listed]
    pairs = [
        pair
        for each, ids in zip(listed, without, strict=True)
        for pair in zip(each.ids[1], ids, strict=True)
    ]
    changed = sum(one != other for one, other in pairs) / len(pairs)
    assert 0.1 < changed < 0.9


def test_times_are_the_same(
    architecture: str, comparisons: list[Comparison], request: pytest.FixtureRequest
) -> None:
    if architecture == "paraformer":
        pytest.skip("FunASR takes the times of a plain Paraformer from the wrong curve")
    worst = max(comparisons, key=lambda each: each.time_difference_ms)
    tell(request, worst_ms=worst.time_difference_ms, clip=worst.clip.name)
    assert worst.time_difference_ms <= 20


def test_a_padded_batch_says_the_same(
    comparisons: list[Comparison], ours: OurWitness, request: pytest.FixtureRequest
) -> None:
    """As it is read on a GPU; against FunASR with each clip alone."""
    some = [each for each in comparisons if each.clip.duration_s <= PADDED_S]
    answers = ours.hear_padded([(each.clip, each.words) for each in some])
    tell(request, clips=len(some))
    for each, answer in zip(some, answers, strict=True):
        spoken = tuple(filter(ours.vocabulary.is_text, each.ids[0]))
        assert answer.token_ids == spoken, each.clip.name


def test_the_texts_are_those_of_one_call(
    comparisons: list[Comparison], theirs: FunasrWitness
) -> None:
    """Of Chinese, where random tokens make no word that FunASR would lose half of."""
    some = [
        each
        for each in comparisons
        if HAN.search(each.texts[1]) and each.clip.duration_s <= 10 and len(each.words) < SHORTLIST
    ]
    assert len(some) >= 3
    for each in some[:GENERATED]:
        text = theirs.generated(each.clip, each.words)
        assert HAN.findall(text) == HAN.findall(each.texts[1]), each.clip.name


@pytest.mark.parametrize("architecture", ["seaco"], indirect=True, scope="module")
@pytest.mark.parametrize(
    ("precision", "most_error"),
    [(Precision.BFLOAT16, 0.03), (Precision.FLOAT16, 0.03), (Precision.INT8, 0.1)],
)
def test_lower_precision_stays_near(
    folder: Path,
    ours: OurWitness,
    clips: list[Clip],
    precision: Precision,
    most_error: float,
    request: pytest.FixtureRequest,
) -> None:
    """Encoder error by the Frobenius norm; the logits of random weights are nearly tied."""
    rough = OurWitness(folder, precision)
    errors, flips, tokens, counts = [], 0, 0, []
    for clip in [clip for clip in clips if clip.duration_s >= 1][:PRECISION_CLIPS]:
        short = Clip(clip.name, clip.samples[: 2 * SAMPLE_RATE_HZ])
        exact, other = ours.hear(short), rough.hear(short)
        errors.append(float((other.hidden - exact.hidden).norm() / exact.hidden.norm()))
        counts.append((len(exact.ids), len(other.ids)))
        flips += sum(a != b for a, b in zip(exact.ids, other.ids, strict=False))
        tokens += len(exact.ids)
    tell(request, error=max(errors), flips=f"{flips} of {tokens}", counts=counts)
    assert 0 < max(errors) < most_error
    if precision is not Precision.INT8:
        assert all(exact == other for exact, other in counts)
