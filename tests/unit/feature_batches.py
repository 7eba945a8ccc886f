"""What tests of batch readers need: features of unlike lengths, lists of hotwords, a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.integration.checkpoint_rig import ARCHITECTURES, random_checkpoint
from voxfleet.paraformer.checkpoint import load_network, read_checkpoint
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.reading import BatchWords
from voxfleet.paraformer.track import Track

CPU = torch.device("cpu")
#: of all sizes, in no order, some of them equal, one of a single frame
LENGTHS = (33, 5, 260, 1, 129, 33, 16, 64, 17, 100)


def checkpoints(folder: Path) -> Path:
    for architecture in ARCHITECTURES:
        random_checkpoint(folder, architecture)
    return folder


@contextmanager
def one_thread() -> Iterator[None]:
    """Tiny models gain nothing from more, and lose much where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network_in(folder: Path, architecture: str) -> ParaformerNetwork:
    return load_network(read_checkpoint(folder / architecture))


def batch(lengths: Sequence[int], seed: int = 0) -> Tensor:
    """Features, zero where an item has ended."""
    torch.manual_seed(seed)
    frames = torch.randn(len(lengths), max(lengths), 560)
    for item, length in zip(frames, lengths, strict=True):
        item[length:] = 0
    return frames


def hotwords(network: ParaformerNetwork, sizes: Sequence[int]) -> BatchWords:
    """For each item a list of its own; the last entry stands for none."""
    ids = torch.arange(max(sizes) + 1)[:, None] % 60 + 3
    vectors = network.embed_hotwords([*ids.tolist(), [1]])
    rows = [torch.cat((vectors[n : n + size], vectors[-1:])) for n, size in enumerate(sizes)]
    rows = [row[-size - 1 :] for row, size in zip(rows, sizes, strict=True)]
    counts = torch.tensor([len(row) for row in rows])
    return BatchWords(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), counts)


def assert_same(found: Sequence[Track], expected: Sequence[Track]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert list(one.ids) == list(other.ids)
        assert one.finite
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)
        assert one.curve.unit_s == other.curve.unit_s
        assert one.curve.weights.shape == other.curve.weights.shape
        np.testing.assert_allclose(one.curve.weights, other.curve.weights, atol=1e-4)
