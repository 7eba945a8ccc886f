"""The punctuation network on its own, and how texts are put into steps."""

from __future__ import annotations

import pytest
import torch

from voxfleet.errors import StartError
from voxfleet.paraformer.ct_config import CtConfig, MarkList, Vocabulary, read_config
from voxfleet.paraformer.ct_punctuator import CtPunctuator, plan_steps
from voxfleet.paraformer.ct_text import PunctuationState
from voxfleet.paraformer.ct_transformer import CtTransformer
from voxfleet.paraformer.model_config import EncoderConfig

TINY = EncoderConfig(
    input_size=16, size=16, heads=2, linear_units=24, layers=2, kernel_size=11, shift=0
)
MARKS = MarkList(("<unk>", "_", "，", "。", "？", "、"), cut="。")


def network(words: int = 50) -> CtTransformer:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return CtTransformer(TINY, words, 6).eval()


def test_names_are_the_published_ones() -> None:
    names = set(network().state_dict())
    assert {"embed.weight", "decoder.weight", "decoder.bias"} <= names
    assert {
        "encoder.encoders0.0.self_attn.linear_q_k_v.weight",
        "encoder.encoders.0.self_attn.fsmn_block.weight",
        "encoder.encoders.0.feed_forward.w_1.bias",
        "encoder.after_norm.weight",
    } <= names
    assert len(names) == 3 + 13 * 2 + 2


@torch.inference_mode()
def test_a_padded_row_has_the_scores_it_has_alone() -> None:
    model = network()
    rows = [torch.randint(0, 50, (length,)) for length in (1, 7, 23, 40)]
    lengths = torch.tensor([len(row) for row in rows])
    # the padding holds a word, whose number is not 0: it must not be seen
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=9)
    scores = model(padded, lengths)
    for number, row in enumerate(rows):
        alone = model(row[None])[0]
        torch.testing.assert_close(scores[number, : len(row)], alone, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_scores_depend_on_neighbours_and_place() -> None:
    model = network()
    words = torch.tensor([[1, 2, 3, 1, 2, 3]])
    scores = model(words)
    assert not torch.allclose(scores[0, 0], scores[0, 3], atol=1e-3)
    assert not torch.allclose(scores[0, 0], model(torch.tensor([[1, 2, 4]]))[0, 0], atol=1e-4)


def test_steps_hold_every_text_once_the_longest_first() -> None:
    lengths = {number: 1 + (number * 37) % 400 for number in range(300)}
    steps = plan_steps(lengths, 64)
    flat = [number for step in steps for number in step]
    assert sorted(flat) == sorted(lengths)
    assert [lengths[number] for number in flat] == sorted(lengths.values(), reverse=True)


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([20] * 130, [64, 64, 2]),
        ([1000] * 20, [8, 8, 4]),
        ([9000, 9000], [1, 1]),
        ([30, 1, 20], [3]),
        ([100, 80, 56, 55], [3, 1]),
        ([200, 20, 20], [1, 2]),
        ([], []),
    ],
)
def test_steps_are_bounded_and_little_is_padding(lengths: list[int], sizes: list[int]) -> None:
    assert [len(step) for step in plan_steps(dict(enumerate(lengths)), 64)] == sizes


def test_texts_do_not_disturb_each_other() -> None:
    words = ["<unk>", *(chr(0x4E00 + place) for place in range(49))]
    punctuator = CtPunctuator(network(), Vocabulary(words), MARKS)

    def process(*texts: str) -> list[str]:
        states = [PunctuationState() for _ in texts]
        return punctuator.process(states, texts, [True] * len(texts))

    texts = [("".join(words[1:]) * 5)[place : 7 * place] for place in range(30)]
    assert process(*texts) == [process(text)[0] for text in texts]


def test_an_unfinished_text_beside_a_finished_one_keeps_its_rest() -> None:
    punctuator = CtPunctuator(network(), Vocabulary(["<unk>", "一", "a"]), MARKS)
    states = [PunctuationState(), PunctuationState()]
    first, second = punctuator.process(states, ["一" * 15, "一" * 15], [False, True])
    assert (first, len(states[0].unfinished)) == ("", 15)
    assert second.count("一") == 15
    assert states[1].unfinished == ()


def content() -> dict[str, object]:
    return {
        "model": "CTTransformer",
        "model_conf": {
            "embed_unit": 256,
            "att_unit": 256,
            "punc_list": ["<unk>", "_", "，", "。", "？", "、"],
            "sentence_end_id": 3,
        },
        "encoder": "SANMEncoder",
        "encoder_conf": {
            "input_size": 256,
            "output_size": 256,
            "attention_heads": 8,
            "linear_units": 1024,
            "num_blocks": 4,
            "input_layer": "pe",
            "kernel_size": 11,
        },
    }


def test_a_published_configuration_is_read() -> None:
    encoder = EncoderConfig(256, 256, 8, 1024, 4, 11)
    assert read_config(content()) == CtConfig(encoder, MARKS, "<unk>")


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("", "model", "CTTransformerStreaming", "'CTTransformerStreaming' is not supported"),
        ("", "model", None, "punctuation None is not supported"),
        ("", "encoder", "SANMVadEncoder", "encoder 'SANMVadEncoder'"),
        ("", "encoder_conf", None, "lacks encoder_conf"),
        ("", "model_conf", ["x"], "lacks model_conf"),
        ("", "tokenizer_conf", {"unk_symbol": 3}, "unk_symbol"),
        ("encoder_conf", "input_layer", "pe_online", "input_layer 'pe_online'"),
        ("encoder_conf", "selfattention_layer_type", "selfattn", "selfattention_layer_type"),
        ("encoder_conf", "num_blocks", 10**9, "num_blocks is 1000000000"),
        ("encoder_conf", "num_blocks", True, "num_blocks is True"),
        ("encoder_conf", "attention_heads", 7, "no multiple of attention_heads"),
        ("encoder_conf", "attention_heads", 0, "attention_heads is 0"),
        ("encoder_conf", "sanm_shfit", 6, "sanm_shfit 6"),
        ("encoder_conf", "input_size", 255, "255 must be even"),
        ("encoder_conf", "output_size", 128, "must be equal"),
        ("model_conf", "embed_unit", 128, "must be equal"),
        ("model_conf", "punc_list", [], "punc_list"),
        ("model_conf", "punc_list", ["_", 3], "punc_list"),
        ("model_conf", "sentence_end_id", 6, "beyond the 6 marks"),
    ],
)
def test_another_configuration_is_refused_by_name(
    section: str, key: str, value: object, said: str
) -> None:
    changed = content()
    target = changed[section] if section else changed
    assert isinstance(target, dict)
    target[key] = value
    with pytest.raises(StartError, match=said):
        read_config(changed)


@pytest.mark.parametrize(("words", "said"), [(["a", "a"], "twice"), (["a"], "lacks '<unk>'")])
def test_a_word_list_is_checked(words: list[str], said: str) -> None:
    with pytest.raises(StartError, match=said):
        Vocabulary(words)


def test_unknown_is_never_a_mark() -> None:
    assert MARKS.of([0, 1, 3]) == ["_", "_", "。"]
