"""Checkpoints go both ways: FunASR loads what our script makes, and we load what FunASR saves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.checkpoint_rig import ARCHITECTURES, random_checkpoint
from voxfleet.paraformer.checkpoint import load_network, read_checkpoint

pytest.importorskip("funasr", reason="funasr is not installed: `make test-parity` installs it")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("default")


def auto_model(folder: Path) -> Any:
    from funasr import AutoModel

    return AutoModel(model=str(folder), device="cpu", disable_update=True, ncpu=1)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("parity"), request.param)


@pytest.fixture(scope="module")
def funasr_model(folder: Path) -> Any:
    return auto_model(folder)


def test_funasr_loads_every_weight_of_ours(folder: Path, funasr_model: Any) -> None:
    theirs = funasr_model.model.state_dict()
    ours = load_network(read_checkpoint(folder)).state_dict()
    assert sorted(theirs) == sorted(ours)
    for name, weight in theirs.items():
        assert torch.equal(weight, ours[name]), name


def test_funasr_recognises_with_it(funasr_model: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 16_000).astype(np.float32)
    answer = funasr_model.generate(input=noise, fs=16_000)
    assert len(answer) == 1
    assert answer[0]["text"]


def test_we_load_what_funasr_saves(folder: Path, funasr_model: Any, tmp_path: Path) -> None:
    """Whatever its classes hold, buffers and leftovers of training included."""
    model = funasr_model.model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.1, 0.1)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    checkpoint = replace(read_checkpoint(folder), weights_path=tmp_path / "model.pt")
    ours = load_network(checkpoint).state_dict()
    assert sorted(ours) == sorted(model.state_dict())
    assert all(torch.equal(ours[name], weight) for name, weight in model.state_dict().items())


def test_the_configuration_agrees(folder: Path, funasr_model: Any) -> None:
    """Numbers that no weight's shape shows."""
    config = read_checkpoint(folder).config
    model = funasr_model.model
    assert config.encoder.heads == model.encoder.encoders[0].self_attn.h
    assert config.decoder.heads == model.decoder.decoders[0].src_attn.h
    assert config.predictor.tail_threshold == model.predictor.tail_threshold
    assert config.predictor.smooth_factor == model.predictor.smooth_factor
    assert config.predictor.noise_threshold == model.predictor.noise_threshold
    if config.predictor.upsample:
        assert config.predictor.upsample.times == model.predictor.upsample_times
        assert config.predictor.upsample.smooth_factor == model.predictor.smooth_factor2
        assert config.predictor.upsample.noise_threshold == model.predictor.noise_threshold2
    if config.hotwords:
        assert config.hotwords.no_bias_id == model.NO_BIAS
        assert config.hotwords.decoder.layers == len(model.seaco_decoder.decoders)
