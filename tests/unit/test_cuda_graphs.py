"""Captured passes, by a stand-in for graphs: shared inputs, spare items, failing to capture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
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
from voxfleet.paraformer.cpu_reader import CpuReader
from voxfleet.paraformer.cuda_graphs import CudaGraphs
from voxfleet.paraformer.reading import Reading

pytestmark = pytest.mark.usefixtures("one_torch_thread")


class Replayed:
    """Stands for a graph where there is no GPU: computes the pass again, into the same tensors."""

    def __init__(self) -> None:
        self.captures = False
        self.passes: list[Callable[[], Reading]] = []
        self.readings: list[Reading] = []

    def replay(self) -> None:
        was, now = self.readings[-1], self.passes[-1]()
        tensors = [(was.ids, now.ids), (was.probabilities, now.probabilities)]
        tensors += [(was.counts, now.counts), (was.heard.hidden, now.heard.hidden)]
        tensors.append((was.heard.predicted.weights, now.heard.predicted.weights))
        tensors += [(was.scored.embeds, now.scored.embeds), (was.scored.states, now.scored.states)]
        if was.scored.mask.rows is not None and now.scored.mask.rows is not None:
            tensors.append((was.scored.mask.rows, now.scored.mask.rows))
        for kept, computed in tensors:
            kept.copy_(computed)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[Replayed]:
    """Graphs made of `Replayed`, listed as they are captured."""
    made: list[Replayed] = []
    plain_pass = CudaGraphs._pass

    def noted(self: CudaGraphs, features: Tensor, lengths: Tensor) -> Reading:
        reading = plain_pass(self, features, lengths)
        if made and made[-1].captures:
            made[-1].passes.append(lambda: plain_pass(self, features, lengths))
            made[-1].readings.append(reading)
        return reading

    @contextmanager
    def capturing(graph: Replayed, pool: object) -> Iterator[None]:
        made.append(graph)
        graph.captures = True
        yield
        graph.captures = False

    monkeypatch.setattr(CudaGraphs, "_pass", noted)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Replayed)
    monkeypatch.setattr(torch.cuda, "graph", capturing)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr("voxfleet.paraformer.batch_reader.free_bytes", lambda device: 8 << 30)
    return made


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_captured_pass_with_room_to_spare_says_the_same(
    tiny_models: Path, architecture: str, captures: list[Replayed]
) -> None:
    network = network_in(tiny_models, architecture)
    words = hotwords(network, (0, 1, 3, 0, 60, 2, 0)) if architecture == "seaco" else None
    # seven items in one pass of eight
    lengths = (33, 5, 39, 1, 29, 33, 16)
    frames = batch(lengths)
    louder = frames * 2
    reader = BatchReader(network, CPU, graphs=True)
    expected = CpuReader(network, 1).read(frames, lengths, words)
    for _ in range(4):
        assert_same(reader.read(frames, lengths, words), expected)
        # what one batch left in the shared inputs is not heard by the next
        again = CpuReader(network, 1).read(louder[:, :33][::5], (33, 33), None)
        assert_same(reader.read(louder[:, :33][::5], (33, 33), None), again)
    assert len(captures) == 2


def test_a_device_that_cannot_capture_reads_eagerly_and_says_so(
    tiny_models: Path,
    captures: list[Replayed],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @contextmanager
    def failing(graph: Replayed, pool: object) -> Iterator[None]:
        yield
        raise RuntimeError("CUDA error: operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", failing)
    network = network_in(tiny_models, "paraformer")
    reader = BatchReader(network, CPU, graphs=True)
    frames = batch(LENGTHS)
    expected = CpuReader(network, 1).read(frames, LENGTHS, None)
    for _ in range(4):
        assert_same(reader.read(frames, LENGTHS, None), expected)
    (record,) = caplog.records
    assert "not permitted when stream is capturing" in record.getMessage()


def test_a_warm_up_captures_what_will_come(tiny_models: Path, captures: list[Replayed]) -> None:
    reader = BatchReader(network_in(tiny_models, "paraformer"), CPU, graphs=True, max_frames=64)
    reader.warm_up()
    warmed = len(captures)
    assert warmed > 5
    reader.read(batch([30]), [30], None)
    assert len(captures) == warmed
