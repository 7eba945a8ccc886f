"""What the bias decoder of a tone checkpoint learns from: lists of hotwords, spoken or nearly.

Works on what an already trained acoustic half makes of utterances. Knows no sound and no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.tone_speech import DEFAULT_OF, HOMOPHONES, PIECES, SOUNDS
from voxfleet.paraformer.decoder import DecoderLayer
from voxfleet.paraformer.network import ParaformerNetwork, Scored
from voxfleet.paraformer.sanm import Mask, valid_mask

IGNORED = -100
_SOS_ID = 1
_EOS_ID = 2
_SHORTLIST_LAYER = 5
_LENGTHS = (2, 3, 4)
#: how often a member of a group stands in a hotword in place of the default
_OTHER_MEMBER = 0.7

Pieces = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One utterance as the acoustic half has it: `sounds` are its tokens without `</s>`."""

    sounds: Pieces
    embeds: Tensor
    states: Tensor


@dataclass(frozen=True, slots=True)
class HotwordBatch:
    """`words` are all lists' words; `lists` [items, longest] are places in it, 0 is no word.

    `ended` [items, tokens, longest]: words whose last piece this token is, or the entry for none.
    """

    scored: Scored
    words: list[Pieces]
    lists: Tensor
    list_counts: Tensor
    ids: Tensor
    counts: Tensor
    labels: Tensor
    ended: Tensor


class HotwordMaker:
    """Lists of hotwords for utterances, with the answers."""

    def __init__(self, token_ids: dict[str, int], rng: np.random.Generator) -> None:
        self.rng = rng
        self._sounds = [token_ids[sound] for sound in SOUNDS]
        self.sound_of = {token_ids[p]: token_ids[DEFAULT_OF.get(p, p)] for p in PIECES}
        self._others = {
            token_ids[default]: [token_ids[other] for other in others]
            for default, others in HOMOPHONES.items()
        }
        self._no_bias = token_ids["曩"]

    def batch(self, groups: Sequence[Sequence[Reading]], longest_list: int) -> HotwordBatch:
        """Each group of readings becomes one item: they share a list, which is what costs."""
        most = 1 + longest_list // 8
        own = [
            [word for reading in group for word in self._own_words(reading.sounds, most)]
            for group in groups
        ]
        shared = [word for words in own for word in words]
        shared += [self._random_word() for _ in range(longest_list)]
        lists = [self._list(words[:longest_list], shared, longest_list) for words in own]
        return self.with_lists([_joined(group) for group in groups], lists)

    def with_lists(
        self, readings: Sequence[Reading], lists: Sequence[Sequence[Pieces]]
    ) -> HotwordBatch:
        words = [(_SOS_ID,), *dict.fromkeys(word for words in lists for word in words)]
        places = {word: place for place, word in enumerate(words)}
        # the entry for none is the last of every list
        rows = [torch.tensor([*(places[word] for word in words), 0]) for words in lists]
        scored = _side_by_side(readings)
        labels = torch.full(scored.states.shape[:2], IGNORED)
        ended = torch.zeros(*labels.shape, max(map(len, rows)), dtype=torch.bool)
        for at, (reading, listed) in enumerate(zip(readings, lists, strict=True)):
            self._answer(reading.sounds, listed, labels[at], ended[at])
        return HotwordBatch(
            scored,
            words,
            nn.utils.rnn.pad_sequence(rows, batch_first=True),
            torch.tensor([len(row) for row in rows]),
            _spoken_ids(readings),
            torch.tensor([len(reading.embeds) for reading in readings]),
            labels,
            ended,
        )

    def _answer(
        self, sounds: Pieces, listed: Sequence[Pieces], labels: Tensor, ended: Tensor
    ) -> None:
        """Where words of the list are spoken; what two of them spell differently is not asked."""
        answers: list[set[int]] = [set() for _ in sounds]
        windows: dict[Pieces, list[int]] = {}
        for length in {len(word) for word in listed}:
            for at in range(len(sounds) - length + 1):
                windows.setdefault(sounds[at : at + length], []).append(at)
        for place, word in enumerate(listed):
            for at in windows.get(tuple(self.sound_of[piece] for piece in word), ()):
                ended[at + len(word) - 1, place] = True
                for offset, piece in enumerate(word):
                    answers[at + offset].add(piece)
        ended[: len(answers) + 1, len(listed)] = ~ended[: len(answers) + 1].any(dim=1)
        for at, answer in enumerate([*answers, set()]):
            if len(answer) < 2:
                labels[at] = next(iter(answer), self._no_bias)

    def _own_words(self, sounds: Pieces, most: int) -> list[Pieces]:
        """Spoken ones, and such as differ from something spoken in one place or two."""
        if len(sounds) < min(_LENGTHS) or self.rng.random() < 0.1:
            return []
        right = [self._window(sounds) for _ in range(self.rng.integers(0, min(4, most + 1)))]
        tempting = [self._window(sounds) for _ in range(self.rng.integers(0, most + 1))]
        words = [*right, *map(self._altered, tempting)]
        return [self._respelt(word) for word in words]

    def _window(self, sounds: Pieces) -> Pieces:
        """More often than not one with a homophone in it."""
        best: Pieces = ()
        for _ in range(3):
            length = min(int(self.rng.choice(_LENGTHS)), len(sounds))
            at = int(self.rng.integers(0, len(sounds) - length + 1))
            best = sounds[at : at + length]
            if any(sound in self._others for sound in best):
                break
        return best

    def _altered(self, window: Pieces) -> Pieces:
        kind = self.rng.random()
        if kind < 0.15:
            return tuple(reversed(window))
        if kind < 0.3 and len(window) < max(_LENGTHS):
            extra = self._any_sound()
            return (extra, *window) if self.rng.random() < 0.5 else (*window, extra)
        out = list(window)
        homophones = [at for at, sound in enumerate(window) if sound in self._others]
        rest = [at for at in range(len(window)) if at not in homophones]
        # what is left must tempt: the homophone stays, its neighbour changes
        out[int(self.rng.choice(rest or homophones))] = self._any_sound()
        return tuple(out)

    def _any_sound(self) -> int:
        groups = list(self._others)
        return int(self.rng.choice(groups if self.rng.random() < 0.2 else self._sounds))

    def _random_word(self) -> Pieces:
        length = int(self.rng.choice(_LENGTHS))
        return self._respelt(tuple(self._any_sound() for _ in range(length)))

    def random_words(self, count: int) -> list[Pieces]:
        words: dict[Pieces, None] = {}
        while len(words) < count:
            words[self._random_word()] = None
        return list(words)

    def _respelt(self, sounds: Pieces) -> Pieces:
        return tuple(
            int(self.rng.choice(self._others[sound]))
            if sound in self._others and self.rng.random() < _OTHER_MEMBER
            else sound
            for sound in sounds
        )

    def _list(self, own: Sequence[Pieces], shared: Sequence[Pieces], longest: int) -> list[Pieces]:
        size = int(self.rng.integers(max(1, len(own)), longest + 1))
        picked = self.rng.integers(len(shared), size=size - len(own))
        words = list(dict.fromkeys([*own, *(shared[place] for place in picked)]))
        return [words[place] for place in self.rng.permutation(len(words))]


def _spoken_ids(readings: Sequence[Reading]) -> Tensor:
    rows = [torch.tensor([*reading.sounds, _EOS_ID]) for reading in readings]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _joined(group: Sequence[Reading]) -> Reading:
    sounds = [sound for reading in group for sound in (*reading.sounds, _EOS_ID)]
    return Reading(
        tuple(sounds[:-1]),
        torch.cat([reading.embeds for reading in group]),
        torch.cat([reading.states for reading in group]),
    )


def _side_by_side(readings: Sequence[Reading]) -> Scored:
    def padded(rows: list[Tensor]) -> Tensor:
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)

    embeds = padded([reading.embeds for reading in readings])
    counts = torch.tensor([len(reading.embeds) for reading in readings])
    mask = Mask(valid_mask(counts, embeds.shape[1]))
    states = padded([reading.states for reading in readings])
    return Scored(embeds, states, mask, states[..., :0])


def hotword_loss(network: ParaformerNetwork, batch: HotwordBatch) -> dict[str, Tensor]:
    """`found` keeps the attention that chooses a shortlist on the word that ends at a token."""
    words = embedded(network, batch)
    logits = network.bias(batch.scored, words, batch.list_counts)
    mask = Mask(valid_mask(batch.list_counts, words.shape[1]))
    attention = network.seaco_decoder.source_weights(
        batch.scored.states, batch.scored.mask, words, mask, _SHORTLIST_LAYER
    )
    on_right = (attention.mean(dim=1) * batch.ended).sum(dim=2)
    return {
        "bias": functional.cross_entropy(logits.transpose(1, 2), batch.labels),
        "found": -on_right[batch.ended.any(dim=2)].clamp(min=1e-6).log().mean(),
    }


@torch.no_grad()
def embedded(network: ParaformerNetwork, batch: HotwordBatch) -> Tensor:
    return network.embed_hotwords(batch.words)[batch.lists]


@torch.no_grad()
def layer_inputs(
    network: ParaformerNetwork, batches: Iterable[HotwordBatch], place: int
) -> tuple[Tensor, Tensor]:
    """What one layer of the bias decoder reads of tokens on both of its paths, and their ids."""
    read, ids = [], []
    for batch in batches:
        words = embedded(network, batch)
        mask = Mask(valid_mask(batch.list_counts, words.shape[1]))
        real = valid_mask(batch.counts, batch.ids.shape[1])
        for tokens in (batch.scored.embeds, batch.scored.states):
            x = tokens
            for layer in list(network.seaco_decoder.decoders)[:place]:
                x = layer(x, batch.scored.mask, words, mask)
            read.append(x[real])
            ids.append(batch.ids[real])
    return torch.cat(read), torch.cat(ids)


def code_loss(layer: DecoderLayer, x: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """How far the layer's feed-forward is from telling each token's code."""
    told = layer.norm2(layer.feed_forward(layer.norm1(x)))
    return {"code": functional.mse_loss(told, wanted)}
