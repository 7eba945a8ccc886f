"""Writes a ct-punc directory in the published layout with random weights: tiny or of full size.

Its punctuation is nonsense, but the same nonsense everywhere: for tests of exactness, speed and
memory. `python -m scripts.make_random_punc FOLDER --size ct-punc`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
import yaml

from voxfleet.paraformer.ct_transformer import CtTransformer
from voxfleet.paraformer.model_config import EncoderConfig

MARKS = ("<unk>", "_", "，", "。", "？", "、")
ENGLISH = ("hello", "world", "the", "a", "it's", "OK", "iPhone", "of", "3", "2023", "T恤")
#: words that only the list for jieba knows
JIEBA_WORDS = ("一丁丂", "七丄", "万丈三上")
_FIRST_HAN = 0x4E00
_HAN_COUNT = 20_902
#: as after training: the ignored label never wins, and most words have no mark
_BIAS = {"<unk>": -20.0, "_": 4.0}


@dataclass(frozen=True, slots=True)
class PuncSize:
    words: int
    units: int
    heads: int
    linear_units: int
    layers: int


#: ct-punc's own configuration is not public: these numbers give its words and its 1.1 GB
SIZES = {
    "tiny": PuncSize(words=200, units=32, heads=4, linear_units=64, layers=2),
    "ct-punc-c": PuncSize(words=272_727, units=256, heads=8, linear_units=1024, layers=4),
    "ct-punc": PuncSize(words=471_067, units=516, heads=12, linear_units=2048, layers=12),
}


def write_random_punc(
    folder: Path,
    size: str = "tiny",
    seed: int = 0,
    *,
    bias: Mapping[str, float] | None = None,
    jieba: bool = False,
    marks: tuple[str, ...] = MARKS,
) -> Path:
    """The folder, with all its files; `bias` by mark makes marks rare or frequent."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = SIZES[size]
    words = vocabulary(shape.words)
    (folder / "tokens.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    config = yaml.safe_dump(configuration(shape, marks), allow_unicode=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "configuration.json").write_text(json.dumps(index(jieba=jieba)), encoding="utf-8")
    if jieba:
        listed = "".join(f"{word} 100000\n" for word in JIEBA_WORDS)
        (folder / "jieba_usr_dict").write_text(listed, encoding="utf-8")
    _write_weights(folder / "model.pt", shape, marks, seed, {**_BIAS, **(bias or {})})
    return folder


def vocabulary(count: int) -> list[str]:
    """Words in the order of use: what a smaller size knows, a larger one does too."""
    han = (chr(_FIRST_HAN + place) for place in range(_HAN_COUNT))
    known = ("<unk>", *ENGLISH, *JIEBA_WORDS)
    filler = (f"word{number}" for number in range(count))
    return list(islice(chain(known, han, filler), count))


def configuration(shape: PuncSize, marks: tuple[str, ...] = MARKS) -> dict[str, object]:
    return {
        "model": "CTTransformer",
        "model_conf": {
            "ignore_id": 0,
            "embed_unit": shape.units,
            "att_unit": shape.units,
            "dropout_rate": 0.1,
            "punc_list": list(marks),
            "punc_weight": [1.0] * len(marks),
            "sentence_end_id": 3,
        },
        "encoder": "SANMEncoder",
        "encoder_conf": {
            "input_size": shape.units,
            "output_size": shape.units,
            "attention_heads": shape.heads,
            "linear_units": shape.linear_units,
            "num_blocks": shape.layers,
            "dropout_rate": 0.1,
            "positional_dropout_rate": 0.1,
            "attention_dropout_rate": 0.0,
            "input_layer": "pe",
            "pos_enc_class": "SinusoidalPositionEncoder",
            "normalize_before": True,
            "kernel_size": 11,
            "sanm_shfit": 0,
            "selfattention_layer_type": "sanm",
            "padding_idx": 0,
        },
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>"},
    }


def index(*, jieba: bool) -> dict[str, object]:
    metas: dict[str, object] = {
        "init_param": "model.pt",
        "config": "config.yaml",
        "tokenizer_conf": {"token_list": "tokens.json"},
    }
    if jieba:
        metas["jieba_usr_dict"] = "jieba_usr_dict"
    return {"framework": "pytorch", "task": "punctuation", "file_path_metas": metas}


def _write_weights(
    path: Path, shape: PuncSize, marks: tuple[str, ...], seed: int, bias: Mapping[str, float]
) -> None:
    encoder = EncoderConfig(
        input_size=shape.units,
        size=shape.units,
        heads=shape.heads,
        linear_units=shape.linear_units,
        layers=shape.layers,
        kernel_size=11,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CtTransformer(encoder, shape.words, len(marks))
    with torch.no_grad():
        # small beside its place, so that a word's mark depends on where it stands
        network.embed.weight.mul_(shape.units**-0.5)
        # wide apart, so that nearly no decision hangs on the last bit of a sum
        network.decoder.weight.mul_(8)
        network.decoder.bias.copy_(torch.tensor([bias.get(mark, 0.0) for mark in marks]))
    torch.save(network.state_dict(), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=sorted(SIZES), default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jieba", action="store_true")
    asked = parser.parse_args()
    print(write_random_punc(asked.folder, asked.size, asked.seed, jieba=asked.jieba))


if __name__ == "__main__":
    main()
