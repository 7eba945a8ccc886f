"""The reader of padded batches says what the reader of items alone says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.integration.checkpoint_rig import ARCHITECTURES
from tests.unit.feature_batches import (
    CPU,
    LENGTHS,
    assert_same,
    batch,
    hotwords,
    network_in,
)
from voxfleet.paraformer.batch_reader import BatchReader
from voxfleet.paraformer.batch_transfer import fetch
from voxfleet.paraformer.cpu_reader import CpuReader
from voxfleet.paraformer.network import Heard, ParaformerNetwork, Scored
from voxfleet.paraformer.reading import BatchWords
from voxfleet.paraformer.shape_buckets import token_bound

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("max_frames", [1, 300, 16_384])
def test_says_what_items_alone_say(tiny_models: Path, architecture: str, max_frames: int) -> None:
    network = network_in(tiny_models, architecture)
    frames = batch(LENGTHS)
    expected = CpuReader(network, 1).read(frames, LENGTHS, None)
    reader = BatchReader(network, CPU, graphs=False, max_frames=max_frames)
    assert sum(len(track.ids) for track in expected) > 100
    assert_same(reader.read(frames, LENGTHS, None), expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_neighbours(tiny_models: Path, architecture: str) -> None:
    network = network_in(tiny_models, architecture)
    reader = BatchReader(network, CPU, graphs=False)
    frames = batch(LENGTHS)
    together = reader.read(frames, LENGTHS, None)
    turned = reader.read(frames.flip(0), LENGTHS[::-1], None)
    assert_same(turned[::-1], together)
    for place, length in enumerate(LENGTHS):
        (alone,) = reader.read(frames[place : place + 1, :length], [length], None)
        assert_same([alone], [together[place]])


@pytest.mark.parametrize(
    "sizes", [(0, 1, 3, 0, 9, 2, 0, 5, 1, 4), (60, 0, 1, 55, 7, 51, 50, 49, 2, 0)]
)
def test_a_list_of_hotwords_for_each_item(tiny_models: Path, sizes: Sequence[int]) -> None:
    network = network_in(tiny_models, "seaco")
    frames = batch(LENGTHS)
    words = hotwords(network, sizes)
    expected = CpuReader(network, 1).read(frames, LENGTHS, words)
    plain = CpuReader(network, 1).read(frames, LENGTHS, None)
    assert [track.ids for track in expected] != [track.ids for track in plain]
    reader = BatchReader(network, CPU, graphs=False, max_frames=300)
    assert_same(reader.read(frames, LENGTHS, words), expected)


def test_one_list_seen_by_all_is_not_copied(tiny_models: Path) -> None:
    network = network_in(tiny_models, "seaco")
    own = hotwords(network, (4,))
    shared = BatchWords(own.vectors.expand(len(LENGTHS), -1, -1), own.counts.expand(len(LENGTHS)))
    frames = batch(LENGTHS)
    expected = CpuReader(network, 1).read(frames, LENGTHS, shared)
    assert_same(BatchReader(network, CPU, graphs=False).read(frames, LENGTHS, shared), expected)


def firing_always(network: ParaformerNetwork) -> ParaformerNetwork:
    """One token a frame, of which the last is not whole."""
    with torch.no_grad():
        network.predictor.cif_output.weight.zero_()
        network.predictor.cif_output.bias.fill_(4)
    return network


@pytest.mark.parametrize("architecture", ["paraformer", "seaco"])
def test_more_tokens_than_expected_are_read_again(
    tiny_models: Path, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = firing_always(network_in(tiny_models, architecture))
    lengths = (80, 10, 120, 16)
    frames = batch(lengths)
    expected = CpuReader(network, 1).read(frames, lengths, None)
    counts = [len(track.ids) for track in expected]
    assert counts[0] > token_bound(80)
    assert counts[2] > token_bound(120)
    asked: list[tuple[int, int]] = []
    score = network.score

    def counted(heard: Heard, max_tokens: int) -> Scored:
        asked.append((len(heard.hidden), max_tokens))
        return score(heard, max_tokens)

    monkeypatch.setattr(network, "score", counted)
    reader = BatchReader(network, CPU, graphs=False, max_frames=300)
    assert_same(reader.read(frames, lengths, None), expected)
    # the two that lacked tokens, each alone
    assert sum(items for items, _ in asked) == 6
    assert asked[-2:] == [(1, counts[2] + 1), (1, counts[0] + 1)]


def test_hotwords_of_what_is_read_again(tiny_models: Path) -> None:
    network = firing_always(network_in(tiny_models, "seaco"))
    lengths = (80, 10, 120, 16)
    words = hotwords(network, (0, 3, 5, 60))
    frames = batch(lengths)
    expected = CpuReader(network, 1).read(frames, lengths, words)
    assert_same(BatchReader(network, CPU, graphs=False).read(frames, lengths, words), expected)


def test_all_comes_in_one_transfer(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transfers: list[int] = []

    def counted(tables: Sequence[Tensor]) -> list[NDArray[np.int32]]:
        transfers.append(len(tables))
        return fetch(tables)

    monkeypatch.setattr("voxfleet.paraformer.batch_reader.fetch", counted)
    reader = BatchReader(network_in(tiny_models, "seaco"), CPU, graphs=False, max_frames=300)
    reader.read(batch(LENGTHS), LENGTHS, None)
    assert len(transfers) == 1
    assert transfers[0] > 4


def test_what_is_fetched_is_what_was_sent() -> None:
    tables = [torch.arange(6, dtype=torch.int32).view(2, 3), torch.tensor([[1.5, float("nan")]])]
    whole, bits = fetch(tables)
    assert whole.tolist() == [[0, 1, 2], [3, 4, 5]]
    np.testing.assert_array_equal(bits.view(np.float32), [[1.5, np.nan]])
