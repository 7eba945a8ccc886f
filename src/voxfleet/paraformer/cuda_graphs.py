"""Captured passes: the thousand kernels of one shape, launched by a single call.

Only what every batch does is captured, listening and the decoder. The bias decoder is not: its
shapes also have the longest list of hotwords in them, too many to meet one twice. Knows no batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.reading import Reading, read_plainly
from voxfleet.paraformer.shape_buckets import (
    CapturePlan,
    Shape,
    Way,
    expected_shapes,
    has_graph_size,
    token_bound,
)

_log = logging.getLogger(__name__)

#: writes a pass into features [items, frames, size] and lengths [items], everything of them
Fill = Callable[[Tensor, Tensor], None]


@dataclass(frozen=True, slots=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    features: Tensor
    lengths: Tensor
    reading: Reading


class CudaGraphs:
    """All graphs read the same two inputs and share one pool of memory.

    So a reading is only good until the next pass: whoever wants it later copies it. Passes follow
    one another on the caller's stream; two streams may not use this at once.
    """

    def __init__(
        self, network: ParaformerNetwork, device: torch.device, capacity: int, max_frames: int
    ) -> None:
        self._network = network
        self._device = device
        self._max_frames = max_frames
        self._plan = CapturePlan(capacity)
        self._graphs: dict[Shape, _Captured] = {}
        # outside the pool, where capturing puts nothing over them
        size = network.config.encoder.input_size
        self._features = torch.zeros(max_frames * size, device=device)
        self._lengths = torch.ones(max_frames, dtype=torch.int64, device=device)
        self._pool = torch.cuda.graph_pool_handle()

    def read(self, shape: Shape, fill: Fill) -> Reading | None:
        """None where the shape has no graph: the caller reads it eagerly."""
        if not has_graph_size(shape, self._max_frames):
            return None
        if self._plan.way(shape) is Way.CAPTURE:
            self._capture(shape)
        captured = self._graphs.get(shape)
        if captured is None:
            return None
        fill(captured.features, captured.lengths)
        captured.graph.replay()
        return captured.reading

    def warm_up(self, most: int) -> None:
        """Capture the shapes that will come, the largest first: the others fit into its memory."""
        for shape in expected_shapes(min(most, self._plan.capacity), self._max_frames):
            # a failure ends it
            if self._plan.capacity:
                self._capture(shape)

    def _capture(self, shape: Shape) -> None:
        """Takes some tenths of a second, and waits for the device."""
        try:
            captured = self._captured(shape)
        except RuntimeError as fault:
            # a graph is speed alone: without it the same kernels run, launched one by one
            self._plan = CapturePlan(0)
            reason = " ".join(str(fault).split())
            _log.warning("no more CUDA graphs are captured, after %s failed: %s", shape, reason)
            return
        dropped = self._plan.captured(shape)
        if dropped is not None:
            del self._graphs[dropped]
        self._graphs[shape] = captured

    def _captured(self, shape: Shape) -> _Captured:
        features = self._features[: shape.padded_frames * self._network.config.encoder.input_size]
        features = features.view(shape.items, shape.frames, -1)
        lengths = self._lengths[: shape.items]
        features.zero_()
        lengths.fill_(shape.frames)
        # once without capturing: libraries plan, and tables that outlive the graph are made
        self._pass(features, lengths)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            reading = self._pass(features, lengths)
        return _Captured(graph, features, lengths, reading)

    def _pass(self, features: Tensor, lengths: Tensor) -> Reading:
        heard = self._network.listen(features, lengths, padded=True)
        return read_plainly(self._network, heard, token_bound(features.shape[1]))
