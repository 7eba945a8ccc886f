"""Which folder is the default model, where several places hold one."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxfleet.models.local_models import find_paraformer_large

SEACO = "speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch"
PLAIN = "speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-pytorch"


def put_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.yaml", "model.pt"):
        (folder / name).write_text("x")
    return folder


def test_nothing_there_is_none(tmp_path: Path) -> None:
    assert find_paraformer_large(tmp_path / "data", {"HOME": str(tmp_path)}) is None


@pytest.mark.parametrize(
    "place",
    [
        "data/models/paraformer-large",
        f"data/models/{PLAIN}",
        f".cache/modelscope/hub/models/iic/{SEACO}",
        f".cache/modelscope/models/iic/{PLAIN}",
        f".cache/modelscope/hub/damo/{PLAIN}",
        ".cache/huggingface/hub/models--funasr--paraformer-zh/snapshots/abc123",
    ],
)
def test_every_place_is_looked_at(tmp_path: Path, place: str) -> None:
    folder = put_model(tmp_path / place)
    assert find_paraformer_large(tmp_path / "data", {"HOME": str(tmp_path)}) == folder


def test_the_caches_are_where_their_variables_say(tmp_path: Path) -> None:
    folder = put_model(tmp_path / "ms" / "models" / "iic" / PLAIN)
    assert find_paraformer_large(tmp_path, {"MODELSCOPE_CACHE": str(tmp_path / "ms")}) == folder


def test_the_one_with_hotwords_comes_first(tmp_path: Path) -> None:
    cache = tmp_path / ".cache" / "modelscope" / "hub" / "models" / "iic"
    put_model(cache / PLAIN)
    best = put_model(cache / SEACO)
    assert find_paraformer_large(tmp_path / "data", {"HOME": str(tmp_path)}) == best


def test_half_a_download_is_none(tmp_path: Path) -> None:
    folder = put_model(tmp_path / "data" / "models" / "paraformer-large")
    (folder / "model.pt").unlink()
    assert find_paraformer_large(tmp_path / "data", {"HOME": str(tmp_path)}) is None


def test_a_cache_that_may_not_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refused)
    assert find_paraformer_large(tmp_path, {"HOME": str(tmp_path)}) is None
