"""Reads a batch on CPU cores: each item alone, several at once on one core each.

Nothing is padded and no item hears another, so results are exact by construction; and one core per
item does more than all cores on one. Knows no words and no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.reading import BatchWords, read
from voxfleet.paraformer.track import Track, frame_curve, track_of, unit_curve

#: items whose time stamps are computed together: the BLSTM gains from company up to here
_UNIT_BATCH = 16


@dataclass(frozen=True, slots=True)
class _Item:
    hidden: Tensor
    count: int
    weights: NDArray[np.float32]
    ids: list[int]
    probabilities: list[float]


class CpuReader:
    """`threads` are the cores this process may keep busy."""

    def __init__(self, network: ParaformerNetwork, threads: int) -> None:
        self._network = network
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "paraformer")

    def read(self, frames: Tensor, lengths: Sequence[int], words: BatchWords | None) -> list[Track]:
        """One track per item of `frames` [batch, longest, 560], in order; `lengths` in frames."""
        # the longest first, so that no core is left waiting for another at the end
        order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
        # fewer items than cores: each may have several
        threads = max(1, self._threads // max(1, len(order)))

        def one(place: int) -> _Item:
            alone = frames[place : place + 1, : lengths[place]]
            return self._read(alone, _own(words, place), threads)

        items = list(self._pool.map(one, order))
        tracks = dict(zip(order, self._tracks(items), strict=True))
        return [tracks[place] for place in range(len(lengths))]

    @torch.inference_mode()
    def _read(self, frames: Tensor, words: BatchWords | None, threads: int) -> _Item:
        # of this thread only; torch's own default would start all cores for each item
        torch.set_num_threads(threads)
        heard = self._network.listen(frames, torch.tensor([frames.shape[1]]), padded=False)
        weights = heard.predicted.weights[0].numpy()
        # what is no number has no count either
        count = int(heard.predicted.token_counts) if np.isfinite(weights).all() else 0
        if count == 0:
            return _Item(heard.hidden[0], 0, weights, [], [])
        reading = read(self._network, heard, count, words)
        ids, probabilities = reading.ids[0].tolist(), reading.probabilities[0].tolist()
        return _Item(heard.hidden[0], count, weights, ids, probabilities)

    def _tracks(self, items: Sequence[_Item]) -> list[Track]:
        if self._network.config.predictor.upsample is None:
            curves = [frame_curve(item.weights) for item in items]
        else:
            units = self._units([item.hidden for item in items])
            curves = [
                unit_curve(weights, item.count, self._network.config)
                for weights, item in zip(units, items, strict=True)
            ]
        return [
            track_of(item.ids, item.probabilities, curve, item.weights)
            for item, curve in zip(items, curves, strict=True)
        ]

    def _units(self, hidden: Sequence[Tensor]) -> list[NDArray[np.float32]]:
        # as many groups as cores, so that each has one; they come in order of length
        size = min(_UNIT_BATCH, max(1, -(-len(hidden) // self._threads)))
        groups = [hidden[start : start + size] for start in range(0, len(hidden), size)]
        return [units for group in self._pool.map(self._group_units, groups) for units in group]

    @torch.inference_mode()
    def _group_units(self, hidden: Sequence[Tensor]) -> list[NDArray[np.float32]]:
        lengths = [len(item) for item in hidden]
        padded = nn.utils.rnn.pad_sequence(list(hidden), batch_first=True)
        weights = self._network.predictor.unit_weights(padded, lengths).numpy()
        times = weights.shape[1] // padded.shape[1]
        return [row[: length * times] for row, length in zip(weights, lengths, strict=True)]


def _own(words: BatchWords | None, place: int) -> BatchWords | None:
    """The item's own list without padding; None where it has no hotword."""
    if words is None:
        return None
    count = int(words.counts[place])
    if count < 2:
        return None
    return BatchWords(words.vectors[place : place + 1, :count], words.counts[place : place + 1])
