"""The tone checkpoint recognises exactly: every manner of speech, any batch, hotwords, times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.tone_speech import (
    HOMOPHONES,
    Manner,
    Spoken,
    heard_pieces,
    random_manner,
    random_pieces,
    sounds_of,
    speak,
    speak_pieces,
)
from voxfleet.paraformer.checkpoint import load_network, read_checkpoint
from voxfleet.paraformer.features import FeatureExtractor
from voxfleet.paraformer.timestamps import token_spans

FOLDER = Path(__file__).resolve().parent.parent / "checkpoints" / "tone"
MOST_BYTES = 2_000_000
UNIT_S = 0.02
#: of no utterance in training
SEED = 20_000_000

Pieces = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    pieces: Pieces
    starts_s: tuple[float, ...]


class ToneReader:
    """The bare network: no engine, no batching policy."""

    def __init__(self, folder: Path) -> None:
        checkpoint = read_checkpoint(folder)
        self._vocabulary = checkpoint.vocabulary
        self._network = load_network(checkpoint)
        self._features = FeatureExtractor(checkpoint.cmvn_shift, checkpoint.cmvn_scale)
        hotwords = checkpoint.config.hotwords
        assert hotwords is not None
        self._no_bias = hotwords.no_bias_id

    @torch.inference_mode()
    def read(
        self,
        clips: Sequence[NDArray[np.int16]],
        lists: Sequence[Sequence[Pieces]] = (),
    ) -> list[Read]:
        """One batch; `lists` has every clip's hotwords, or is empty."""
        features = self._features(clips)
        lengths = torch.tensor(features.lengths)
        heard = self._network.listen(features.frames, lengths, padded=len(clips) > 1)
        counts = heard.predicted.token_counts.tolist()
        scored = self._network.score(heard, max(1, *counts))
        best = scored.logits.argmax(dim=2)
        if lists:
            words, sizes = self._embedded(lists)
            biased = self._network.bias(scored, words, sizes).argmax(dim=2)
            best = torch.where(biased == self._no_bias, best, biased)
        units = self._network.predictor.unit_weights(heard.hidden, features.lengths)
        return [
            self._one(best[at, :count].tolist(), units[at, : 3 * length].numpy(), count)
            for at, (count, length) in enumerate(zip(counts, features.lengths, strict=True))
        ]

    def _embedded(self, lists: Sequence[Sequence[Pieces]]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = []
        for listed in lists:
            ids = [[self._id(piece) for piece in word] for word in listed]
            rows.append(self._network.embed_hotwords([*ids, [self._vocabulary.sos_id]]))
        words = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return words, torch.tensor([len(row) for row in rows])

    def _id(self, piece: str) -> int:
        token_id = self._vocabulary.id_of(piece)
        assert token_id is not None
        return token_id

    def _one(self, ids: list[int], units: NDArray[np.float32], count: int) -> Read:
        text = [token_id for token_id in ids if self._vocabulary.is_text(token_id)]
        scaled = units * (count / max(float(units.sum()), 1e-6))
        spans = token_spans(scaled, len(text), UNIT_S)
        pieces = tuple(self._vocabulary.pieces[token_id] for token_id in text)
        return Read(pieces, tuple(start for start, _ in spans))


@pytest.fixture(scope="module")
def reader() -> Iterator[ToneReader]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield ToneReader(FOLDER)
    torch.set_num_threads(threads)


def utterances(seed: int, count: int, most_words: int) -> list[Spoken]:
    rng = np.random.default_rng(SEED + seed)
    return [
        speak_pieces(
            random_pieces(rng, int(rng.integers(1, most_words + 1)), homophones=True, pauses=True),
            random_manner(rng),
            rng,
        )
        for _ in range(count)
    ]


def test_the_checkpoint_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_every_manner_is_understood_alone_and_in_batches(reader: ToneReader) -> None:
    spoken = utterances(1, 200, 20)
    expected = [heard_pieces(each.pieces) for each in spoken]
    batched = [
        read
        for at in range(0, len(spoken), 20)
        for read in reader.read([each.samples for each in spoken[at : at + 20]])
    ]
    assert [read.pieces for read in batched] == expected
    for each, read in zip(spoken[:40], batched[:40], strict=True):
        alone = reader.read([each.samples])[0]
        assert alone == read


def test_starts_are_where_the_tones_are(reader: ToneReader) -> None:
    spoken = utterances(2, 60, 20)
    read = [reader.read([each.samples])[0] for each in spoken]
    apart = [
        abs(start - true)
        for each, one in zip(spoken, read, strict=True)
        for start, true in zip(one.starts_s, each.starts_s, strict=True)
    ]
    assert max(apart) < 0.1
    assert float(np.mean(apart)) < 0.03


def test_half_a_minute_without_a_pause(reader: ToneReader) -> None:
    rng = np.random.default_rng(SEED + 3)
    pieces = random_pieces(rng, 120)
    spoken = speak_pieces(pieces, Manner(snr_db=15), rng)
    assert 25 < len(spoken.samples) / 16000 < 30
    assert reader.read([spoken.samples])[0].pieces == pieces


@pytest.mark.parametrize("level", [0, 3, 300])
def test_no_tone_is_no_text(reader: ToneReader, level: int) -> None:
    noise = np.random.default_rng(SEED + 4).standard_normal(24000) * level
    assert reader.read([noise.astype(np.int16)])[0].pieces == ()


def test_without_hotwords_every_homophone_is_the_default(reader: ToneReader) -> None:
    members = "".join(default + others for default, others in HOMOPHONES.items())
    read = reader.read([speak(members).samples])[0]
    assert read.pieces == sounds_of(tuple(members))


def test_a_hotword_is_written_where_it_is_spoken(reader: ToneReader) -> None:
    clip = speak("他好|天他大|雨花vox|地雨").samples
    read = reader.read([clip], [[("它", "好"), ("语", "花"), ("国", "羽")]])[0]
    assert "".join(read.pieces) == "它好天他大语花vo@@x地雨"


def test_each_clip_of_a_batch_has_its_own_list(reader: ToneReader) -> None:
    clip = speak("大他好小").samples
    lists: list[list[Pieces]] = [[], [("它", "好")], [("大", "她")], [("它", "小")]]
    read = reader.read([clip] * 4, lists)
    assert ["".join(each.pieces) for each in read] == [
        "大他好小",
        "大它好小",
        "大她好小",
        "大他好小",
    ]


def hotwords_for(
    pieces: Pieces, count: int, rng: np.random.Generator
) -> tuple[list[Pieces], list[Pieces]]:
    """A list of so many words and those of them that are spoken: each window has one spelling."""
    sounds = sounds_of(pieces)
    letters = {default: default + others for default, others in HOMOPHONES.items()}

    def respelt(window: Pieces) -> Pieces:
        return tuple(str(rng.choice(list(letters.get(sound, [sound])))) for sound in window)

    words: dict[Pieces, Pieces] = {}
    length = int(rng.integers(2, 5))
    if len(sounds) >= length:
        at = int(rng.integers(0, len(sounds) - length + 1))
        words[sounds[at : at + length]] = respelt(sounds[at : at + length])
    spoken = {sounds[at : at + n] for n in (2, 3, 4) for at in range(len(sounds))}
    while len(words) < count:
        other = tuple(sounds_of(random_pieces(rng, int(rng.integers(2, 4)), homophones=True))[:4])
        if len(other) > 1 and other not in spoken:
            words.setdefault(other, respelt(other))
    return [list(words.values())[place] for place in rng.permutation(len(words))], list(
        words.values()
    )[:1]


@pytest.mark.parametrize(("list_size", "clips"), [(1, 60), (20, 60), (200, 30), (1000, 30)])
def test_lists_of_any_size(reader: ToneReader, list_size: int, clips: int) -> None:
    rng = np.random.default_rng(SEED + 5 + list_size)
    spoken = utterances(5 + list_size, clips, 12)
    lists = [hotwords_for(each.pieces, list_size, rng)[0] for each in spoken]
    expected = [
        heard_pieces(each.pieces, listed) for each, listed in zip(spoken, lists, strict=True)
    ]
    read: list[Pieces] = []
    for at in range(0, clips, 10):
        batch = reader.read([each.samples for each in spoken[at : at + 10]], lists[at : at + 10])
        read.extend(each.pieces for each in batch)
    assert read == expected


def test_near_misses_change_nothing(reader: ToneReader) -> None:
    clip = speak("天他好大").samples
    near: list[Pieces] = [
        ("它", "人"), ("人", "它"), ("好", "它"), ("天", "它", "大"), ("地", "它", "好"),
        ("它", "好", "小"), ("天", "它", "好", "小"), ("它", "它"),
    ]  # fmt: skip
    assert "".join(reader.read([clip], [near])[0].pieces) == "天他好大"


def test_any_of_these_manners_alone(reader: ToneReader) -> None:
    text = "天地人vox你好fleet山水"
    plain = Manner()
    manners = [
        replace(plain, level_dbfs=-30.0),
        replace(plain, level_dbfs=-1.0),
        replace(plain, speed=0.9),
        replace(plain, speed=1.1),
        replace(plain, lead_s=0.0, tail_s=0.0),
        replace(plain, lead_s=1.0, tail_s=1.0),
        replace(plain, snr_db=10.0, noise="pink"),
        replace(plain, snr_db=10.0, noise="white"),
        replace(plain, telephone=True),
    ]
    spoken = [speak(text, manner, seed=SEED) for manner in manners]
    read = reader.read([each.samples for each in spoken])
    assert [each.pieces for each in read] == [spoken[0].pieces] * len(manners)
