"""What tests of Paraformer need: small random checkpoints in the published layout, and changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from scripts.make_random_checkpoint import write_random_checkpoint
from voxfleet.errors import StartError
from voxfleet.paraformer.checkpoint import load_network, read_checkpoint

ARCHITECTURES = ("seaco", "bicif", "paraformer")


def random_checkpoint(folder: Path, architecture: str = "seaco", seed: int = 0) -> Path:
    """A tiny one (69 pieces, width 64) in `folder / architecture`, which is returned."""
    path = folder / architecture
    write_random_checkpoint(path, architecture, "tiny", seed)
    return path


def change_config(folder: Path, key: str, value: object) -> None:
    """Set one key, "encoder_conf.num_blocks" say; None writes null."""
    with _edited(folder) as content:
        block, last = _place(content, key)
        block[last] = value


def drop_from_config(folder: Path, key: str) -> None:
    with _edited(folder) as content:
        block, last = _place(content, key)
        del block[last]


@contextmanager
def _edited(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / "config.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    yield content
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def _place(content: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    *blocks, last = key.split(".")
    for name in blocks:
        content = content[name]
    return content, last


def loaded(folder: Path) -> dict[str, torch.Tensor]:
    """The weights as our network has them."""
    return load_network(read_checkpoint(folder)).state_dict()


def refusal(folder: Path) -> str:
    """The message by which loading it is refused: one line that names the place."""
    with pytest.raises(StartError) as refused:
        loaded(folder)
    message = refused.value.message
    assert str(folder) in message
    assert "\n" not in message
    return message


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Save what `change` returns for the weights; they themselves where it returns None."""
    path = folder / "model.pt"
    weights = torch.load(path, weights_only=True)
    changed = change(weights)
    torch.save(weights if changed is None else changed, path)
