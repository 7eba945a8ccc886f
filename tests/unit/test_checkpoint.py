"""Checkpoints are read whole or refused by name: files, vocabulary, statistics."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from scripts.make_random_checkpoint import made_pieces, random_network
from tests.integration.checkpoint_rig import (
    ARCHITECTURES,
    change_config,
    drop_from_config,
    loaded,
    random_checkpoint,
    refusal,
)
from voxfleet.paraformer.checkpoint import is_checkpoint, load_network, read_checkpoint
from voxfleet.paraformer.tokens import Vocabulary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return random_checkpoint(tmp_path, "bicif")


def set_index(folder: Path, key: str, name: object) -> None:
    path = folder / "configuration.json"
    content = json.loads(path.read_text())
    block, _, last = key.rpartition(".")
    metas = content["file_path_metas"]
    (metas[block] if block else metas)[last] = name
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_random_checkpoint_loads(tmp_path: Path, architecture: str) -> None:
    folder = random_checkpoint(tmp_path, architecture)
    checkpoint = read_checkpoint(folder)
    assert is_checkpoint(folder)
    assert len(checkpoint.vocabulary) == checkpoint.config.vocabulary_size == 69
    assert checkpoint.cmvn_shift.tolist() == [np.float32(-8.3)] * 560
    assert checkpoint.seg_dict_path == folder / "seg_dict"
    network = load_network(checkpoint)
    assert not network.training
    saved = torch.load(folder / "model.pt", weights_only=True)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, saved[name]), name
        assert (parameter.dtype, parameter.requires_grad) == (torch.float32, False)


def test_a_loaded_network_computes_what_the_saved_one_did(tmp_path: Path) -> None:
    """Its LSTM too, which keeps references of its own to its weights."""
    folder = random_checkpoint(tmp_path)
    content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    saved = random_network(content, 69, seed=0).eval()
    network = load_network(read_checkpoint(folder))
    sound = torch.randn(1, 40, 560, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, wanted = (
            each.score(each.listen(sound, torch.tensor([40]), padded=False), 3).logits
            for each in (network, saved)
        )
        words = [[5, 6, 7], [8]]
        assert torch.equal(network.embed_hotwords(words), saved.embed_hotwords(words))
    assert torch.equal(found, wanted)
    assert found.isfinite().all()


def test_weights_are_their_own_once_loaded(folder: Path) -> None:
    network = load_network(read_checkpoint(folder))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    weights = folder / "model.pt"
    with weights.open("r+b") as file:
        file.write(bytes(weights.stat().st_size))
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())


@pytest.mark.parametrize("seed", range(3))
def test_random_weights_fire_about_as_often_as_somebody_speaks(tmp_path: Path, seed: int) -> None:
    network = load_network(read_checkpoint(random_checkpoint(tmp_path, "paraformer", seed)))
    sound = torch.randn(1, 500, 560, generator=torch.Generator().manual_seed(0))
    heard = network.listen(sound, torch.tensor([500]), padded=False)
    assert 2 < heard.predicted.token_counts.item() / 30 < 6


def test_the_made_vocabulary_of_full_size() -> None:
    pieces = Vocabulary(made_pieces("full")).pieces
    assert len(pieces) == 8404
    assert sum(piece.endswith("@@") for piece in pieces) > 500
    assert sum(piece.isascii() and piece.isalpha() for piece in pieces) > 500


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    first = loaded(random_checkpoint(tmp_path / "first"))
    again = loaded(random_checkpoint(tmp_path / "again"))
    other = loaded(random_checkpoint(tmp_path / "other", seed=1))
    name = "encoder.encoders.0.feed_forward.w_1.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_layout_without_an_index(folder: Path) -> None:
    (folder / "configuration.json").unlink()
    before = read_checkpoint(folder)
    lines = "".join(f"{piece}\n" for piece in before.vocabulary.pieces)
    (folder / "tokens.json").unlink()
    (folder / "tokens.txt").write_text(lines, encoding="utf-8")
    (folder / "seg_dict").unlink()
    (folder / "model.pt").rename(folder / "model.pb")
    checkpoint = read_checkpoint(folder)
    assert checkpoint.vocabulary.pieces == before.vocabulary.pieces
    assert checkpoint.seg_dict_path is None
    assert loaded(folder)


def test_the_layout_before_framework_1(folder: Path) -> None:
    pieces = read_checkpoint(folder).vocabulary.pieces
    for name in ("configuration.json", "tokens.json", "seg_dict"):
        (folder / name).unlink()
    change_config(folder, "token_list", list(pieces))
    for key, name in {
        "model": "bicif_paraformer",
        "encoder": "sanm",
        "decoder": "paraformer_decoder_sanm",
        "predictor": "cif_predictor_v3",
        "frontend": "wav_frontend",
    }.items():
        change_config(folder, key, name)
    drop_from_config(folder, "frontend_conf.dither")
    assert read_checkpoint(folder).vocabulary.pieces == pieces
    assert loaded(folder)


def test_links_of_a_model_cache_are_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "model.pt").rename(tmp_path / "blob")
    (folder / "model.pt").symlink_to(tmp_path / "blob")
    assert is_checkpoint(folder)
    assert loaded(folder)


@pytest.mark.parametrize(
    "name", ["../model.pt", "/etc/passwd", "a/../../x", "C:\\x", "..\\x", "\\\\host\\x", "a\0b"]
)
def test_a_name_that_leaves_the_folder_is_refused(folder: Path, name: str) -> None:
    set_index(folder, "init_param", name)
    assert "which is no name inside the folder" in refusal(folder)


def test_a_named_file_that_is_missing_is_refused(folder: Path) -> None:
    set_index(folder, "frontend_conf.cmvn_file", "other.mvn")
    assert "names 'other.mvn' as frontend_conf.cmvn_file" in refusal(folder)


@pytest.mark.parametrize(
    ("missing", "fault"),
    [
        ("config.yaml", "lacks config.yaml or asr.yaml"),
        ("model.pt", "lacks model.pt or model.pb"),
        ("am.mvn", "lacks am.mvn"),
        ("tokens.json", "has no vocabulary"),
    ],
)
def test_a_missing_file_is_named(folder: Path, missing: str, fault: str) -> None:
    (folder / "configuration.json").unlink()
    (folder / missing).unlink()
    assert fault in refusal(folder)
    assert is_checkpoint(folder) == (missing in {"am.mvn", "tokens.json"})


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    assert not is_checkpoint(tmp_path)
    assert not is_checkpoint(tmp_path / "missing")
    assert "does not exist" in refusal(tmp_path / "missing")
    assert "not a complete Paraformer checkpoint" in refusal(tmp_path)


def test_a_broken_index_is_named(folder: Path) -> None:
    (folder / "configuration.json").write_text("{")
    assert is_checkpoint(folder)
    assert "configuration.json is no valid JSON" in refusal(folder)


def test_statistics_of_another_width_are_refused(folder: Path) -> None:
    path = folder / "am.mvn"
    path.write_text(path.read_text().replace("-8.3 -8.3 ", "-8.3 ", 1))
    assert "of 560 finite numbers each (found 559 and 560)" in refusal(folder)


@pytest.mark.parametrize("number", ["nan", "inf", "1e60", "x", "]"])
def test_statistics_that_are_no_numbers_are_refused(folder: Path, number: str) -> None:
    path = folder / "am.mvn"
    path.write_text(path.read_text().replace("-8.3", number, 1))
    assert "am.mvn does not hold" in refusal(folder)


def test_reading_a_checkpoint_loads_no_pytorch(folder: Path) -> None:
    code = (
        "import sys, pathlib; from voxfleet.paraformer.checkpoint import read_checkpoint; "
        f"read_checkpoint(pathlib.Path({str(folder)!r})); print('torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"
