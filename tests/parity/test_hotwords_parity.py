"""Our hotwords against FunASR's own, on the same small random SeACo: tokens, vectors, decisions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from voxfleet.paraformer.hotwords import HotwordEmbedder, HotwordTokenizer, read_seg_dict
from voxfleet.paraformer.model_config import (
    Architecture,
    DecoderConfig,
    EncoderConfig,
    FrontendConfig,
    HotwordConfig,
    ParaformerConfig,
    PredictorConfig,
)
from voxfleet.paraformer.network import ParaformerNetwork, Scored
from voxfleet.paraformer.sanm import Mask
from voxfleet.paraformer.tokens import Vocabulary

pytest.importorskip("funasr", reason="funasr is not installed: `make test-parity` installs it")

pytestmark = pytest.mark.filterwarnings("default")

SIZE = 32
NO_BIAS = 77
HAN = tuple(chr(0x4E00 + n) for n in range(400))
PIECES = ("<blank>", "<s>", "</s>", "hel@@", "lo", "a", "b@@", "1", "2", *HAN, "<unk>")
#: with what a real one may hold: a word twice, one without pieces, pieces the vocabulary lacks
SEG_DICT = "\n".join(
    [
        "hello hel@@ lo",
        "ab a",
        "ab b@@ a",
        "silent",
        "lost gone@@ a",
        f"{HAN[3]}{HAN[4]} {HAN[4]} {HAN[3]}",
        f"k{HAN[5]} a {HAN[5]}",
        "1 1",
        "3 2 1",
        *(f"{char} {char}" for char in HAN[:380]),
    ]
)


@pytest.fixture(scope="module")
def network() -> ParaformerNetwork:
    torch.manual_seed(11)
    torch.set_num_threads(1)
    config = ParaformerConfig(
        Architecture.SEACO,
        FrontendConfig(),
        EncoderConfig(560, SIZE, 2, 32, 1, 3),
        DecoderConfig(SIZE, 2, 32, 2, 0, 3),
        PredictorConfig(SIZE, 1, 1, 0.45),
        len(PIECES),
        HotwordConfig(DecoderConfig(SIZE, 2, 48, 6, 0, 5), NO_BIAS),
    )
    made = ParaformerNetwork(config).eval()
    with torch.no_grad():
        # large enough that hotwords decide, and NO_BIAS now and then
        made.hotword_output_layer.weight.mul_(3)
        made.hotword_output_layer.bias[NO_BIAS] += 8.0
    return made


@pytest.fixture(scope="module")
def funasr_seaco(network: ParaformerNetwork) -> Any:
    """FunASR's code around our weights; what it never calls here is not built."""
    from funasr.models.paraformer.decoder import ParaformerSANMDecoder
    from funasr.models.seaco_paraformer.model import SeacoParaformer

    model = SeacoParaformer.__new__(SeacoParaformer)
    torch.nn.Module.__init__(model)
    shared: dict[str, Any] = {"encoder_output_size": SIZE, "attention_heads": 2, "sanm_shfit": 0}
    model.decoder = ParaformerSANMDecoder(
        len(PIECES), linear_units=32, num_blocks=2, att_layer_num=2, kernel_size=3, **shared
    )
    model.seaco_decoder = ParaformerSANMDecoder(
        len(PIECES),
        linear_units=48,
        num_blocks=4,
        kernel_size=5,
        use_output_layer=False,
        wo_input_layer=True,
        **shared,
    )
    model.bias_encoder = torch.nn.LSTM(SIZE, SIZE, 2, batch_first=True)
    model.hotword_output_layer = torch.nn.Linear(SIZE, len(PIECES))
    model.bias_encoder_type, model.lstm_proj, model.sos, model.NO_BIAS = "lstm", None, 1, NO_BIAS
    used = ("decoder.", "seaco_decoder.", "bias_encoder.", "hotword_output_layer.")
    weights = {k: v for k, v in network.state_dict().items() if k.startswith(used)}
    model.load_state_dict(weights, strict=True)
    return model.eval()


@pytest.fixture(scope="module")
def seg_dict_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "seg_dict"
    path.write_text(SEG_DICT + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer(seg_dict_path: Path) -> HotwordTokenizer:
    return HotwordTokenizer(Vocabulary(PIECES), read_seg_dict(seg_dict_path))


def funasr_ids(model: Any, folder: Path, hotwords: str) -> list[list[int]]:
    """As FunASR's pipeline makes them of one string, the entry for none at the end."""
    unknown = PIECES.index("<unk>")
    ids = {piece: place for place, piece in enumerate(PIECES)}
    cutter = SimpleNamespace(tokens2ids=lambda pieces: [ids.get(p, unknown) for p in pieces])
    frontend = SimpleNamespace(cmvn_file=str(folder / "am.mvn"))
    made: list[list[int]] = model.generate_hotwords_list(hotwords, cutter, frontend)
    return made


def random_words(seed: int, count: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(HAN[:380], draw.integers(1, 10))) for _ in range(count)]


WORDS = [
    *("hello", "HELLO", "Hello", "ab", "lost", "silent", "abc", "3", "12", "13", "1a", "a1", "<s>"),
    *(HAN[3] + HAN[4], HAN[4] + HAN[3], "K" + HAN[5], HAN[5] + "k", HAN[0] + "1", HAN[390]),
    *(HAN[0] + HAN[390], HAN[0] + "，" + HAN[1], "“" + HAN[0] + "”", "龘", HAN[0] + "龘", "世界ab"),
    *random_words(1, 300),
]


def test_wherever_funasr_finds_tokens_ours_are_the_same(
    funasr_seaco: Any, seg_dict_path: Path, tokenizer: HotwordTokenizer
) -> None:
    *theirs, none = funasr_ids(funasr_seaco, seg_dict_path.parent, " ".join(WORDS))
    assert none == [tokenizer.none_id]
    compared = 0
    for word, ids in zip(WORDS, theirs, strict=True):
        ours = tokenizer.ids(word)
        assert ours is None or PIECES.index("<unk>") not in ours
        if ids and PIECES.index("<unk>") not in ids:
            assert ours == tuple(ids), word
            compared += 1
    assert compared > 300


@torch.inference_mode()
def test_vectors_are_the_same(
    network: ParaformerNetwork, funasr_seaco: Any, tokenizer: HotwordTokenizer
) -> None:
    words = list(dict.fromkeys(random_words(2, 500)))
    prepared = HotwordEmbedder(network, tokenizer).prepare([words])
    ids = [torch.tensor(tokenizer.ids(word)) for word in words] + [torch.tensor([1])]
    lengths = torch.tensor([len(row) for row in ids])
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    theirs = funasr_seaco._hotword_representation(padded, lengths)
    torch.testing.assert_close(prepared.words[0], theirs, atol=1e-6, rtol=0)


@dataclass(frozen=True, slots=True)
class Clip:
    """One item as both see it: `hidden` of the encoder, `embeds` of the predictor."""

    hidden: Tensor
    embeds: Tensor
    scored: Scored


def random_clip(network: ParaformerNetwork, seed: int) -> Clip:
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(1, 40, SIZE, generator=draw)
    embeds = 2 * torch.randn(1, 12, SIZE, generator=draw)
    free = Mask(None)
    states = network.decoder(embeds, free, hidden, free)
    return Clip(hidden, embeds, Scored(embeds, states, free, network.decoder.scores(states)))


def merged(scored: Scored, bias: Tensor) -> Tensor:
    """Per token what the bias decoder says, or the main decoder where that says NO_BIAS."""
    none = (bias.argmax(-1) == NO_BIAS)[:, :, None]
    return torch.where(none, scored.logits.log_softmax(-1), bias.log_softmax(-1))


def none_is_shortlisted(network: ParaformerNetwork, clip: Clip, words: Tensor) -> bool:
    """Whether the entry for none is among FunASR's best, where it takes a hotword's place."""
    scored = clip.scored
    free = Mask(None)
    weights = network.seaco_decoder.source_weights(scored.states, free, words, free, 5)
    best = weights.sum(dim=(0, 1, 2)).topk(min(50, words.shape[1] - 1)).indices
    return words.shape[1] - 1 in best.tolist()


@torch.inference_mode()
def test_decisions_are_the_same(
    network: ParaformerNetwork,
    funasr_seaco: Any,
    tokenizer: HotwordTokenizer,
    seg_dict_path: Path,
) -> None:
    exact, switched = 0, 0.0
    counts = (0, 1, 2, 20, 49, 51, 60, 200, 1000)
    for seed, count in product(range(4), counts):
        words = list(dict.fromkeys(random_words(count + seed, 2 * count)))[:count]
        clip = random_clip(network, count + seed)
        prepared = HotwordEmbedder(network, tokenizer).prepare([words])
        assert prepared.counts.tolist() == [count + 1]
        bias = network.bias(clip.scored, prepared.words, prepared.counts)
        ours = merged(clip.scored, bias)
        theirs = funasr_seaco._seaco_decode_with_ASF(
            clip.hidden,
            torch.tensor([clip.hidden.shape[1]]),
            clip.embeds,
            torch.tensor([clip.embeds.shape[1]]),
            hw_list=funasr_ids(funasr_seaco, seg_dict_path.parent, " ".join(words)),
        )
        assert torch.equal(ours.argmax(-1), theirs.argmax(-1)), (count, seed)
        switched += (bias.argmax(-1) != NO_BIAS).float().mean().item()
        if count < 50 or not none_is_shortlisted(network, clip, prepared.words):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
            exact += 1
    # both decoders had a say, and shortlists were compared to the last number
    assert 0.2 < switched / (4 * len(counts)) < 0.8
    assert exact >= 24
