"""Files of weights: every format that is published loads, anything else is refused by name."""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.integration.checkpoint_rig import (
    change_config,
    change_weights,
    loaded,
    random_checkpoint,
    refusal,
)
from voxfleet.errors import StartError
from voxfleet.paraformer.checkpoint import is_checkpoint

Weights = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return random_checkpoint(tmp_path, "bicif")


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_weights_beside_the_state_of_a_trainer(folder: Path, wrapper: str) -> None:
    before = copy.deepcopy(loaded(folder))
    change_weights(folder, lambda weights: {wrapper: dict(weights), "epoch": 3})
    assert all(torch.equal(weight, before[name]) for name, weight in loaded(folder).items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_float32(folder: Path, dtype: torch.dtype) -> None:
    change_weights(folder, lambda weights: {n: w.to(dtype) for n, w in weights.items()})
    assert {weight.dtype for weight in loaded(folder).values()} == {torch.float32}


def test_weights_in_the_format_before_pytorch_1_6(folder: Path) -> None:
    before = copy.deepcopy(loaded(folder))
    weights = torch.load(folder / "model.pt", weights_only=True)
    torch.save(weights, folder / "model.pt", _use_new_zipfile_serialization=False)
    assert all(torch.equal(weight, before[name]) for name, weight in loaded(folder).items())


def without(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {n: w for n, w in weights.items() if not n.startswith(prefix)}


def with_one(name: str, tensor: torch.Tensor) -> Callable[[Weights], Weights]:
    return lambda weights: weights | {name: tensor}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            without("decoder.after_norm"),
            r"it lacks decoder.after_norm.weight, decoder.after_norm.b",
        ),
        (without("encoder."), r"it lacks encoder\.\S+, encoder\.\S+, encoder\.\S+ and 25 more"),
        (with_one("ctc.ctc_lo.weight", torch.ones(2)), "unexpected ctc.*seems to be .* CTC head"),
        (
            with_one("decoder.after_norm.weight", torch.ones(3)),
            "wrong shape in decoder.after_norm.weight 3 instead of 64",
        ),
        (
            with_one("decoder.after_norm.weight", torch.ones(64, dtype=torch.int8)),
            r"another type in decoder.after_norm.weight \(torch.int8\)",
        ),
        (
            with_one("decoder.after_norm.weight", torch.full((64,), torch.nan)),
            "infinite or undefined numbers in decoder.after_norm.weight",
        ),
        (
            with_one("decoder.after_norm.bias", torch.full((64,), -torch.inf)),
            "infinite or undefined numbers in decoder.after_norm.bias",
        ),
        (
            with_one("decoder.output_layer.weight", torch.ones(1).expand(10**6, 10**6)),
            "claims more weights than it holds",
        ),
        (lambda weights: {f"module.{n}": w for n, w in weights.items()}, "distributed trainer"),
        (lambda weights: {"encoder.fsmn.0.linear.weight": torch.ones(1)}, "voice activity"),
        (lambda weights: {}, "no weights by name"),
        (lambda weights: [torch.ones(1)], "no weights by name"),
        (lambda weights: {"a": 1}, "holds 'a', which is no tensor"),
        (lambda weights: {1: torch.ones(1)}, "a name of type int"),
        (lambda weights: {"weights": dict(weights)}, "holds 'weights', which is no tensor"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    folder: Path, change: Callable[[Weights], object], fault: str
) -> None:
    change_weights(folder, change)
    with pytest.raises(StartError, match=fault):
        loaded(folder)


def test_a_configuration_of_another_size_does_not_fit(folder: Path) -> None:
    change_config(folder, "encoder_conf.num_blocks", 3)
    assert "it lacks encoder.encoders.1." in refusal(folder)


class Intruder:
    """Touches a file when unpickled by a careless reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("archive", [True, False])
def test_code_in_weights_is_never_run(folder: Path, tmp_path: Path, archive: bool) -> None:
    intruder = Intruder(tmp_path / "touched")
    torch.save(intruder, tmp_path / "trap")
    torch.load(tmp_path / "trap", weights_only=False)
    assert intruder.path.exists(), "the trap itself works"
    intruder.path.unlink()
    torch.save({"a": intruder}, folder / "model.pt", _use_new_zipfile_serialization=archive)
    assert "none of it was run" in refusal(folder)
    assert not intruder.path.exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\0" * 100_000, "is not in PyTorch's format"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*run git lfs pull"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        ((99).to_bytes(8, "little") + b'{"a":1}', "safetensors"),
        (b"\x08\x08\x12\x07pytorch", "ONNX"),
        (b"PK\x03\x04" + b"\0" * 500, "damaged or half downloaded"),
        (b"\x80\x02" + b"\xff" * 500, "damaged"),
        (b"\x80\x02.", "damaged"),
    ],
)
def test_what_are_no_weights_is_named(folder: Path, content: bytes, fault: str) -> None:
    (folder / "model.pt").write_bytes(content)
    with pytest.raises(StartError, match=rf"model\.pt.*{fault}.*download the model again"):
        loaded(folder)


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.999])
@pytest.mark.parametrize("archive", [True, False])
def test_a_truncated_file_is_named(folder: Path, kept: float, archive: bool) -> None:
    path = folder / "model.pt"
    weights = torch.load(path, weights_only=True)
    torch.save(weights, path, _use_new_zipfile_serialization=archive)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert "model.pt is damaged" in refusal(folder)


@pytest.mark.parametrize(
    ("entry", "packing", "fault"),
    [
        ("word/document.xml", zipfile.ZIP_STORED, "ZIP archive without PyTorch weights"),
        ("archive/data.pkl", zipfile.ZIP_DEFLATED, "compressed archive"),
        ("archive/data.pkl", zipfile.ZIP_STORED, "damaged"),
    ],
)
def test_other_archives_are_named(folder: Path, entry: str, packing: int, fault: str) -> None:
    with zipfile.ZipFile(folder / "model.pt", "w", packing) as archive:
        archive.writestr(entry, b"\0" * 1000)
    assert fault in refusal(folder)


def test_a_folder_in_place_of_the_weights(folder: Path) -> None:
    (folder / "configuration.json").unlink()
    (folder / "model.pt").unlink()
    (folder / "model.pt").mkdir()
    assert not is_checkpoint(folder)
    assert "model.pt is not a file" in refusal(folder)
