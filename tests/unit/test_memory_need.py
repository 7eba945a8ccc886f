"""What an instance is said to need, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxfleet.engines.memory_need import CUDA_CONTEXT_MB, memory_need_mb


def checkpoint(folder: Path, weights_mb: int) -> str:
    """The names of a checkpoint; its weights are a hole in the file."""
    for name in ("config.yaml", "am.mvn"):
        (folder / name).touch()
    with (folder / "model.pt").open("wb") as file:
        file.truncate(weights_mb << 20)
    return str(folder)


@pytest.mark.parametrize(
    ("model", "device", "fake_memory_mb", "need_mb"),
    [
        ("fake", "cpu", 300, 360),
        ("fake", "cuda:0", 300, 300),
        ("fake", "cuda:0", 0, 0),
        ("pocketsphinx", "cpu", 300, 150),
        ("no-such-model", "cpu", 300, 0),
        ("/no/such/folder", "cuda:0", 300, 0),
    ],
)
def test_named_models(model: str, device: str, fake_memory_mb: int, need_mb: int) -> None:
    assert memory_need_mb(model, device, "", fake_memory_mb) == need_mb


@pytest.mark.parametrize(
    ("device", "precision", "need_mb"),
    [
        # 220 for the process, 1.05 x the weights while they are loaded, 200 for a batch
        ("cpu", "float32", 1302),
        ("cpu", "int8", 1302),
        # 500 for the driver, the weights, 1024 for a batch
        ("cuda:0", "float32", 2364),
        ("cuda:0", "float16", 1986),
        ("cuda", "", 1986),
        ("GPU-8f1", "bfloat16", 1986),
    ],
)
def test_a_checkpoint_needs_by_the_size_of_its_weights(
    tmp_path: Path, device: str, precision: str, need_mb: int
) -> None:
    assert memory_need_mb(checkpoint(tmp_path, 840), device, precision, 0) == need_mb


def test_the_measured_worker_fits_into_its_estimate(tmp_path: Path) -> None:
    # docs/performance.md: 839 MB of weights were loaded into 1,081 MB
    assert 1081 < memory_need_mb(checkpoint(tmp_path, 839), "cpu", "int8", 0) < 1.3 * 1081


def test_a_folder_that_lacks_something_has_no_estimate(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 840)
    (tmp_path / "am.mvn").unlink()
    assert memory_need_mb(folder, "cpu", "", 0) == 0


def test_what_a_context_takes_is_part_of_the_need(tmp_path: Path) -> None:
    assert memory_need_mb(checkpoint(tmp_path, 1), "cuda", "", 0) > CUDA_CONTEXT_MB
