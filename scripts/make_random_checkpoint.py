"""Write a Paraformer checkpoint with random weights, in the published layout.

For tests and measurements: it computes what a trained one of its size does, and says nonsense.
Weights are the modules' own defaults under the seed, but for the few in `_make_plausible`.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path

import torch
import yaml

from voxfleet.paraformer.checkpoint_config import paraformer_config
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.tokens import read_vocabulary

MODELS = {"seaco": "SeacoParaformer", "bicif": "BiCifParaformer", "paraformer": "Paraformer"}
#: width, units, encoder blocks, decoder blocks, units of the bias decoder
SIZES = {"tiny": (64, 128, 2, 2, 64), "full": (512, 2048, 50, 16, 1024)}
FULL_PIECES = 8404
FULL_NO_BIAS = 8377
LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: chance that a frame of 60 ms adds to a token: 4 tokens a second
FIRING = 0.24
FEATURE_SIZE = 560

MODEL_CONF: dict[str, object] = {
    "ctc_weight": 0.0,
    "lsm_weight": 0.1,
    "length_normalized_loss": True,
    "predictor_weight": 1.0,
    "predictor_bias": 1,
    "sampling_ratio": 0.75,
}
BIAS_CONF: dict[str, object] = {
    "bias_encoder_type": "lstm",
    "bias_encoder_bid": False,
    "seaco_lsm_weight": 0.1,
    "seaco_length_normal": True,
    "train_decoder": True,
}
ENCODER_CONF: dict[str, object] = {
    "attention_heads": 4,
    "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
    "input_layer": "pe",
    "pos_enc_class": "SinusoidalPositionEncoder",
    "normalize_before": True,
    "kernel_size": 11,
    "sanm_shfit": 0,
    "selfattention_layer_type": "sanm",
}
DECODER_CONF: dict[str, object] = {
    "attention_heads": 4,
    "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1,
    "self_attention_dropout_rate": 0.1,
    "src_attention_dropout_rate": 0.1,
    "sanm_shfit": 0,
}
PREDICTOR_CONF: dict[str, object] = {
    "threshold": 1.0,
    "l_order": 1,
    "r_order": 1,
    "tail_threshold": 0.45,
}
UPSAMPLE_CONF: dict[str, object] = {
    "smooth_factor2": 0.25,
    "noise_threshold2": 0.01,
    "upsample_times": 3,
    "use_cif1_cnn": False,
    "upsample_type": "cnn_blstm",
}
FRONTEND_CONF: dict[str, object] = {
    "fs": 16000,
    "window": "hamming",
    "n_mels": 80,
    "frame_length": 25,
    "frame_shift": 10,
    "lfr_m": 7,
    "lfr_n": 6,
    "dither": 0.0,
}


def write_random_checkpoint(
    folder: Path,
    architecture: str,
    size: str,
    seed: int = 0,
    tokens: Path | None = None,
    cmvn: Path | None = None,
) -> None:
    """`tokens` (JSON) and `cmvn` are taken from files where given, else made up."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = read_vocabulary(tokens).pieces if tokens else made_pieces(size)
    content = config(architecture, size, len(pieces))
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    (folder / "configuration.json").write_text(
        json.dumps(published_index(), indent=4), encoding="utf-8"
    )
    (folder / "tokens.json").write_text(
        json.dumps(pieces, ensure_ascii=False, indent=4), encoding="utf-8"
    )
    (folder / "seg_dict").write_text(_seg_dict(pieces), encoding="utf-8")
    if cmvn:
        shutil.copyfile(cmvn, folder / "am.mvn")
    else:
        (folder / "am.mvn").write_text(_constant_cmvn(), encoding="ascii")
    torch.save(random_network(content, len(pieces), seed).state_dict(), folder / "model.pt")


def random_network(
    content: dict[str, object], vocabulary_size: int, seed: int
) -> ParaformerNetwork:
    """The same weights for the same arguments; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ParaformerNetwork(paraformer_config("config.yaml", content, vocabulary_size))
        _make_plausible(network)
    return network


@torch.no_grad()
def _make_plausible(network: ParaformerNetwork) -> None:
    """So many tokens as somebody speaking, told apart, some of them taken from the hotwords."""
    output = network.predictor.cif_output
    # what it reads is never negative: weights of mean zero leave the rate to the bias
    output.weight.sub_(output.weight.mean()).mul_(3)
    output.bias.fill_(math.log(FIRING / (1 - FIRING)))
    vocabulary_size = network.config.vocabulary_size
    scores = network.decoder.output_layer
    if scores is not None:
        scores.weight.mul_(4)
    if network.config.hotwords:
        # near the best of so many random scores, so that about half the tokens stay unbiased
        best = 0.7 * math.sqrt(2 * math.log(vocabulary_size))
        network.hotword_output_layer.bias[network.config.hotwords.no_bias_id] = best


def made_pieces(size: str) -> tuple[str, ...]:
    """Distinct pieces of all kinds: Han characters, beginnings of words, words."""
    if size == "tiny":
        characters = [chr(0x4E00 + place) for place in range(60)]
        words = ["a@@", "b@@", "c", "hello", "world"]
    else:
        names = ["".join(letters) for n in (1, 2, 3) for letters in product(LETTERS, repeat=n)]
        begins = [f"{name}@@" for name in islice(names, 700)]
        words = [*begins, *islice(names, 700)]
        characters = [chr(0x4E00 + n) for n in range(FULL_PIECES - 4 - len(words))]
    return ("<blank>", "<s>", "</s>", *characters, *words, "<unk>")


def config(architecture: str, size: str, pieces: int) -> dict[str, object]:
    """What config.yaml of a published model says, at the sizes asked for."""
    width, units, encoder_blocks, decoder_blocks, bias_units = SIZES[size]
    content: dict[str, object] = {
        "model": MODELS[architecture],
        "model_conf": dict(MODEL_CONF),
        "encoder": "SANMEncoder",
        "encoder_conf": ENCODER_CONF
        | {"output_size": width, "linear_units": units, "num_blocks": encoder_blocks},
        "decoder": "ParaformerSANMDecoder",
        "decoder_conf": DECODER_CONF
        | {"linear_units": units, "num_blocks": decoder_blocks, "kernel_size": 11}
        | {"att_layer_num": decoder_blocks},
        "predictor": "CifPredictorV2" if architecture == "paraformer" else "CifPredictorV3",
        "predictor_conf": {"idim": width}
        | PREDICTOR_CONF
        | ({} if architecture == "paraformer" else UPSAMPLE_CONF),
        "frontend": "WavFrontend",
        "frontend_conf": FRONTEND_CONF,
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True},
        "normalize": None,
    }
    if architecture == "seaco":
        no_bias = FULL_NO_BIAS if pieces > FULL_NO_BIAS else pieces - 2
        content["model_conf"] = MODEL_CONF | BIAS_CONF | {"inner_dim": width, "NO_BIAS": no_bias}
        content["seaco_decoder"] = "ParaformerSANMDecoder"
        content["seaco_decoder_conf"] = (
            DECODER_CONF | {"linear_units": bias_units, "num_blocks": 4, "kernel_size": 21}
        ) | {"use_output_layer": False, "wo_input_layer": True}
    return content


def published_index() -> dict[str, object]:
    return {
        "framework": "pytorch",
        "task": "auto-speech-recognition",
        "model": {"type": "funasr"},
        "pipeline": {"type": "funasr-pipeline"},
        "file_path_metas": {
            "init_param": "model.pt",
            "config": "config.yaml",
            "tokenizer_conf": {"token_list": "tokens.json", "seg_dict_file": "seg_dict"},
            "frontend_conf": {"cmvn_file": "am.mvn"},
        },
    }


def _seg_dict(pieces: Sequence[str]) -> str:
    """Every whole piece as itself, and a word made of pieces where the letters are there."""
    lines = [f"{piece} {piece}" for piece in pieces if piece[0] != "<" and "@@" not in piece]
    if {"a@@", "b@@", "c"} <= set(pieces) and "abc" not in pieces:
        lines.append("abc a@@ b@@ c")
    return "".join(f"{line}\n" for line in lines)


def _constant_cmvn() -> str:
    shift, scale = (" ".join([number] * FEATURE_SIZE) for number in ("-8.3", "0.15"))
    return (
        f"<Nnet> \n<Splice> {FEATURE_SIZE} {FEATURE_SIZE}\n[ 0 ]\n"
        f"<AddShift> {FEATURE_SIZE} {FEATURE_SIZE} \n<LearnRateCoef> 0 [ {shift} ]\n"
        f"<Rescale> {FEATURE_SIZE} {FEATURE_SIZE} \n<LearnRateCoef> 0 [ {scale} ]\n</Nnet> \n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--architecture", choices=sorted(MODELS), default="seaco")
    parser.add_argument("--size", choices=sorted(SIZES), default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="a tokens.json to use")
    parser.add_argument("--cmvn", type=Path, metavar="FILE", help="an am.mvn to use")
    given = parser.parse_args()
    write_random_checkpoint(
        given.folder, given.architecture, given.size, given.seed, given.tokens, given.cmvn
    )
    print(f"wrote a {given.size} {MODELS[given.architecture]} with random weights: {given.folder}")


if __name__ == "__main__":
    main()
