"""Reads a batch on CPU cores: each item alone, several at once on one core each.

Nothing is padded and no item hears another: company only decides how many cores add up an item's
sums, which shows in the seventh digit. One core per item does more than all cores on one. Knows no
words and no text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from voxfleet.paraformer.network import Heard, ParaformerNetwork
from voxfleet.paraformer.reading import BatchWords, read
from voxfleet.paraformer.track import FiringCurve, Track, frame_curve, track_of, unit_curve


class CpuReader:
    """`threads` are the cores this process may keep busy; `tick` is called after each item."""

    def __init__(
        self, network: ParaformerNetwork, threads: int, tick: Callable[[], None] = lambda: None
    ) -> None:
        self._network = network
        self._threads = threads
        self._tick = tick
        self._pool = ThreadPoolExecutor(threads, "paraformer")

    def read(self, frames: Tensor, lengths: Sequence[int], words: BatchWords | None) -> list[Track]:
        """One track per item of `frames` [batch, longest, 560], in order; `lengths` in frames."""
        # the longest first, so that no core is left waiting for another at the end
        order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
        # fewer items than cores: each may have several
        threads = max(1, self._threads // max(1, len(order)))

        def one(place: int) -> Track:
            alone = frames[place : place + 1, : lengths[place]]
            track = self._read(alone, _own(words, place), threads)
            self._tick()
            return track

        tracks = dict(zip(order, self._pool.map(one, order), strict=True))
        return [tracks[place] for place in range(len(lengths))]

    @torch.inference_mode()
    def _read(self, frames: Tensor, words: BatchWords | None, threads: int) -> Track:
        # of this thread only; torch's own default would start all cores for each item
        torch.set_num_threads(threads)
        heard = self._network.listen(frames, torch.tensor([frames.shape[1]]), padded=False)
        weights = heard.predicted.weights[0].numpy()
        # what is no number has no count either
        count = int(heard.predicted.token_counts) if np.isfinite(weights).all() else 0
        curve = self._curve(heard, count)
        if count == 0:
            return track_of((), (), curve, weights)
        reading = read(self._network, heard, count, words)
        ids, probabilities = reading.ids[0].tolist(), reading.probabilities[0].tolist()
        return track_of(ids, probabilities, curve, weights)

    def _curve(self, heard: Heard, count: int) -> FiringCurve:
        config = self._network.config
        if config.predictor.upsample is None:
            return frame_curve(heard.predicted.weights[0].numpy())
        # alone here, too: in company the BLSTM is no faster on a core, and packed it is slower
        units = self._network.predictor.unit_weights(heard.hidden, [heard.hidden.shape[1]])
        return unit_curve(units[0].numpy(), count, config)


def _own(words: BatchWords | None, place: int) -> BatchWords | None:
    """The item's own list without padding; None where it has no hotword."""
    if words is None:
        return None
    count = int(words.counts[place])
    if count < 2:
        return None
    return BatchWords(words.vectors[place : place + 1, :count], words.counts[place : place + 1])
