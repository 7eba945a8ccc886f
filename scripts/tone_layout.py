"""The tone checkpoint's directory: vocabulary, configuration and files as a published model has.

Knows no training.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from scripts.make_random_checkpoint import (
    BIAS_CONF,
    DECODER_CONF,
    ENCODER_CONF,
    FRONTEND_CONF,
    MODEL_CONF,
    PREDICTOR_CONF,
    UPSAMPLE_CONF,
    published_index,
)
from tests.tone_speech import LATIN_WORDS, PIECES
from voxfleet.paraformer.network import ParaformerNetwork

Statistics = NDArray[np.float32]

NO_BIAS = "曩"
TOKENS = ("<blank>", "<s>", "</s>", *PIECES, NO_BIAS, "<unk>")
TOKEN_IDS = {piece: place for place, piece in enumerate(TOKENS)}
WIDTH = 80


def config() -> dict[str, object]:
    """What config.yaml says; as a published one, but for the sizes."""
    decoder = DECODER_CONF | {"linear_units": 2 * WIDTH, "kernel_size": 11}
    return {
        "model": "SeacoParaformer",
        "model_conf": MODEL_CONF | BIAS_CONF | {"inner_dim": WIDTH, "NO_BIAS": TOKEN_IDS[NO_BIAS]},
        "encoder": "SANMEncoder",
        "encoder_conf": ENCODER_CONF
        | {"output_size": WIDTH, "linear_units": 2 * WIDTH, "num_blocks": 2},
        "decoder": "ParaformerSANMDecoder",
        "decoder_conf": decoder | {"num_blocks": 1, "att_layer_num": 1},
        "seaco_decoder": "ParaformerSANMDecoder",
        "seaco_decoder_conf": decoder
        | {"num_blocks": 4, "attention_heads": 1}
        | {"use_output_layer": False, "wo_input_layer": True},
        "predictor": "CifPredictorV3",
        "predictor_conf": {"idim": WIDTH} | PREDICTOR_CONF | UPSAMPLE_CONF,
        "frontend": "WavFrontend",
        "frontend_conf": FRONTEND_CONF,
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True},
        "normalize": None,
    }


def write(out_dir: Path, network: ParaformerNetwork, shift: Statistics, scale: Statistics) -> None:
    """Weights in half precision, for size; they are read as float32."""
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "config.yaml").write_text(yaml.safe_dump(config(), sort_keys=False), "utf-8")
    index = json.dumps(published_index(), indent=4)
    (out_dir / "configuration.json").write_text(index + "\n", "utf-8")
    tokens = json.dumps(TOKENS, ensure_ascii=False, indent=4)
    (out_dir / "tokens.json").write_text(tokens + "\n", "utf-8")
    words = {piece: (piece,) for piece in PIECES if not piece.isascii()} | LATIN_WORDS
    spelling = "".join(f"{word} {' '.join(pieces)}\n" for word, pieces in words.items())
    (out_dir / "seg_dict").write_text(spelling, "utf-8")
    (out_dir / "am.mvn").write_text(cmvn_text(shift, scale), "ascii")
    torch.save(
        {name: each.half() for name, each in network.state_dict().items()}, out_dir / "model.pt"
    )


def cmvn_text(shift: Statistics, scale: Statistics) -> str:
    size = len(shift)
    blocks = [
        f"<{tag}> {size} {size}\n<LearnRateCoef> 0 [ {' '.join(f'{x:.6g}' for x in values)} ]\n"
        for tag, values in (("AddShift", shift), ("Rescale", scale))
    ]
    return f"<Nnet>\n<Splice> {size} {size}\n[ 0 ]\n{''.join(blocks)}</Nnet>\n"
