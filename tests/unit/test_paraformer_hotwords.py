"""Hotwords on their way to the bias decoder: cached vectors, lists of a batch, shortlists."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from voxfleet.paraformer import hotword_bank
from voxfleet.paraformer.hotword_bank import VectorBank
from voxfleet.paraformer.hotwords import HotwordEmbedder, HotwordTokenizer
from voxfleet.paraformer.model_config import (
    Architecture,
    DecoderConfig,
    EncoderConfig,
    FrontendConfig,
    HotwordConfig,
    ParaformerConfig,
    PredictorConfig,
)
from voxfleet.paraformer.network import SHORTLIST, ParaformerNetwork, Scored
from voxfleet.paraformer.sanm import Mask, valid_mask
from voxfleet.paraformer.tokens import Vocabulary

HAN = tuple(chr(0x4E00 + n) for n in range(1200))
PIECES = ("<blank>", "<s>", "</s>", "vox@@", "fleet", *HAN, "<unk>")
VOCABULARY = Vocabulary(PIECES)
SIZE = 16


@pytest.fixture(scope="module")
def network() -> ParaformerNetwork:
    torch.manual_seed(3)
    config = ParaformerConfig(
        Architecture.SEACO,
        FrontendConfig(),
        EncoderConfig(560, SIZE, 2, 16, 1, 3),
        DecoderConfig(SIZE, 2, 16, 1, 0, 3),
        PredictorConfig(SIZE, 1, 1, 0.45),
        len(PIECES),
        HotwordConfig(DecoderConfig(SIZE, 2, 16, 6, 0, 5), no_bias_id=9),
    )
    return ParaformerNetwork(config).eval()


def embedder(network: ParaformerNetwork, capacity: int = 20_000) -> HotwordEmbedder:
    return HotwordEmbedder(network, HotwordTokenizer(VOCABULARY, {}), capacity)


def list_of(count: int, start: int = 0) -> list[str]:
    """Words of two to five ideographs, none like another."""
    return [
        "".join(HAN[(n * 7 + k * (n % 11 + 1)) % len(HAN)] for k in range(2 + n % 4)) + HAN[n]
        for n in range(start, start + count)
    ]


def alone(network: ParaformerNetwork, word: str) -> Tensor:
    ids = HotwordTokenizer(VOCABULARY, {}).ids(word)
    assert ids
    with torch.inference_mode():
        return network.embed_hotwords([ids])[0]


def none_entry(network: ParaformerNetwork) -> Tensor:
    with torch.inference_mode():
        return network.embed_hotwords([(VOCABULARY.sos_id,)])[0]


def test_vectors_do_not_depend_on_what_is_embedded_with_them(network: ParaformerNetwork) -> None:
    words = ["上", *list_of(150), "上" * 50]
    prepared = embedder(network).prepare([words])
    expected = torch.stack([*(alone(network, word) for word in words), none_entry(network)])
    assert prepared.counts.tolist() == [153]
    torch.testing.assert_close(prepared.words[0], expected, atol=1e-6, rtol=0)


def test_lists_of_a_batch_keep_order_end_with_none_and_are_padded(
    network: ParaformerNetwork,
) -> None:
    lists = [["上下", "voxfleet", "一"], [], ["龘", "丁"], ["上下", "voxfleet", "一"]]
    prepared = embedder(network).prepare(lists)
    assert prepared.words.shape == (4, 4, SIZE)
    assert prepared.counts.dtype is torch.int64
    assert prepared.counts.tolist() == [4, 1, 2, 4]
    assert prepared.unknown == ((), (), ("龘",), ())
    for row, known in enumerate(
        [["上下", "voxfleet", "一"], [], ["丁"], ["上下", "voxfleet", "一"]]
    ):
        for place, word in enumerate(known):
            assert torch.allclose(prepared.words[row, place], alone(network, word), atol=1e-6)
        assert torch.allclose(prepared.words[row, len(known)], none_entry(network), atol=1e-6)
    assert not prepared.words[1, 1:].any()


def test_unknown_and_empty_and_double_words_take_no_entry(network: ParaformerNetwork) -> None:
    words = ["龘", "上下", "上 下", "。", "《上下》", "c++", "龘"]
    prepared = embedder(network).prepare([words, ["龘"]])
    assert prepared.counts.tolist() == [2, 1]
    assert prepared.unknown == (("龘", "c++"), ("龘",))


class Counting:
    """Notes which words the network really embeds."""

    def __init__(self, network: ParaformerNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
        self.words: list[Sequence[int]] = []
        embed = network.embed_hotwords

        def counted(ids: Sequence[Sequence[int]]) -> Tensor:
            self.words.extend(ids)
            return embed(ids)

        monkeypatch.setattr(network, "embed_hotwords", counted)


def test_only_new_words_are_embedded(
    network: ParaformerNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(network, monkeypatch)
    embeds = embedder(network)
    words = list_of(600)
    first = embeds.prepare([words, words, words[:300]])
    assert len(counting.words) == 601
    again = embeds.prepare([words, list(words), words[:300]])
    other = embeds.prepare([[*reversed(words), "上上上"]])
    assert len(counting.words) == 602
    assert torch.equal(first.words, again.words)
    assert torch.equal(other.words[0, :600], first.words[0, :600].flip(0))


def test_one_list_for_all_items_is_not_copied(network: ParaformerNetwork) -> None:
    embeds = embedder(network)
    words = list_of(100)
    prepared = embeds.prepare([words] * 8)
    assert prepared.words.shape == (8, 101, SIZE)
    assert prepared.words.stride(0) == 0
    assert prepared.words.data_ptr() == embeds.prepare([words]).words.data_ptr()


def test_a_full_cache_forgets_the_oldest_and_stays_exact(
    network: ParaformerNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hotword_bank, "_CHUNK", 4)
    counting = Counting(network, monkeypatch)
    embeds = embedder(network, capacity=10)
    plain = embedder(network)
    for start in (0, 5, 3, 0, 40, 2):
        # longer lists than the cache, too
        words = list_of(7 if start != 40 else 25, start)
        found, expected = embeds.prepare([words]), plain.prepare([words])
        torch.testing.assert_close(found.words, expected.words, atol=1e-6, rtol=0)
    before = len(counting.words)
    embeds.prepare([list_of(7, 2)])
    assert len(counting.words) == before


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_the_smallest_caches_work(network: ParaformerNetwork, capacity: int) -> None:
    lists = [list_of(5), list_of(4, 3), []]
    found = embedder(network, capacity).prepare(lists)
    torch.testing.assert_close(
        found.words, embedder(network).prepare(lists).words, atol=1e-6, rtol=0
    )


def test_after_running_out_of_memory_no_word_has_another_ones_vector(
    network: ParaformerNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeds = embedder(network, capacity=20)
    embeds.prepare([list_of(15)])

    def no_memory(bank: VectorBank, like: Tensor, needed: int) -> Tensor:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(VectorBank, "_with_room", no_memory)
        with pytest.raises(MemoryError):
            embeds.prepare([list_of(15, 10)])
    for lists in ([list_of(18, 10)], [list_of(15)]):
        expected = embedder(network).prepare(lists).words
        torch.testing.assert_close(embeds.prepare(lists).words, expected, atol=1e-6, rtol=0)


# -- what the bias decoder makes of them -------------------------------------------------------


def spoken(items: int, longest: int = 9) -> Scored:
    """As after the decoder: items of different lengths, padding that must not matter."""
    generator = torch.Generator().manual_seed(5)
    lengths = torch.tensor([longest - n % 4 for n in range(items)])
    valid = valid_mask(lengths, longest)
    embeds = torch.randn(items, longest, SIZE, generator=generator) * valid[:, :, None]
    states = torch.randn(items, longest, SIZE, generator=generator)
    mask = Mask(valid)
    return Scored(embeds, states, mask, torch.zeros(items, longest, 1))


def item_of(scored: Scored, item: int) -> Scored:
    assert scored.mask.rows is not None
    length = int(scored.mask.rows[item].sum())
    return Scored(
        scored.embeds[item : item + 1, :length],
        scored.states[item : item + 1, :length],
        Mask(None),
        scored.logits[item : item + 1, :length],
    )


COUNTS = (0, 1, 49, 50, 51, 1000, 2, 120)


@torch.inference_mode()
def test_items_of_a_batch_with_lists_of_their_own_are_as_alone(network: ParaformerNetwork) -> None:
    lists = [list_of(count, 37 * item) for item, count in enumerate(COUNTS)]
    embeds = embedder(network)
    prepared = embeds.prepare(lists)
    assert prepared.counts.tolist() == [count + 1 for count in COUNTS]
    scored = spoken(len(COUNTS))
    together = network.bias(scored, prepared.words, prepared.counts)
    for item, words in enumerate(lists):
        single = item_of(scored, item)
        own = embeds.prepare([words])
        expected = network.bias(single, own.words, own.counts)
        length = single.states.shape[1]
        torch.testing.assert_close(together[item : item + 1, :length], expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_shortlist_is_of_the_items_own_words_and_keeps_the_entry_for_none(
    network: ParaformerNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = [list_of(count, 37 * item) for item, count in enumerate(COUNTS)]
    prepared = embedder(network).prepare(lists)
    seen: list[tuple[Tensor, Tensor]] = []
    shortlist = network._shortlist

    def noted(scored: Scored, words: Tensor, counts: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
        seen.append(shortlist(scored, words, counts, mask))
        return seen[-1]

    monkeypatch.setattr(network, "_shortlist", noted)
    network.bias(spoken(len(COUNTS)), prepared.words, prepared.counts)
    ((chosen, counts),) = seen
    assert counts.tolist() == [min(count, SHORTLIST) + 1 for count in COUNTS]
    none = none_entry(network)
    for item, count in enumerate(counts.tolist()):
        own = prepared.words[item, : COUNTS[item]]
        kept = chosen[item, : count - 1]
        # every entry but the last is one of the item's own hotwords, each once and none of none
        places = [(own == row).all(dim=1).nonzero().flatten().tolist() for row in kept]
        assert all(len(place) == 1 for place in places)
        assert len({place[0] for place in places}) == count - 1
        assert torch.allclose(chosen[item, count - 1], none, atol=1e-6)


@torch.inference_mode()
def test_a_hotword_that_is_attended_most_survives_among_a_thousand(
    network: ParaformerNetwork,
) -> None:
    """By brute force: the shortlist holds the words with the largest summed attention."""
    words = list_of(1000)
    prepared = embedder(network).prepare([words])
    single = item_of(spoken(1), 0)
    weights = network.seaco_decoder.source_weights(
        single.states, single.mask, prepared.words, Mask(None), 5
    )
    wanted = weights.sum(dim=(0, 1, 2))[:-1].topk(SHORTLIST).indices.sort().values
    few = embedder(network).prepare([[words[place] for place in wanted.tolist()]])
    torch.testing.assert_close(
        network.bias(single, prepared.words, prepared.counts),
        network.bias(single, few.words, few.counts),
        atol=1e-5,
        rtol=0,
    )


def test_lists_of_words_without_tokens_are_not_kept_for_ever(network: ParaformerNetwork) -> None:
    embeds = embedder(network, capacity=100)
    for number in range(50):
        embeds.prepare([[f"龘{number}-{word}" for word in range(10)]])
    kept = embeds._lists
    assert sum(map(len, kept)) <= 100
