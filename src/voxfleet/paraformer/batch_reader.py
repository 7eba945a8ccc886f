"""Reads a batch on a GPU: cut into padded passes, launched without a wait, fetched in one transfer.

The number of tokens is known only at the end, so each pass decodes more than anybody says. Knows no
words and no text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from voxfleet.paraformer.batch_transfer import Row, fetch, packed, unpacked, upload
from voxfleet.paraformer.cuda_graphs import CudaGraphs, Fill
from voxfleet.paraformer.device_memory import free_bytes
from voxfleet.paraformer.model_config import ParaformerConfig
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.reading import BatchWords, Reading, read_plainly, with_hotwords
from voxfleet.paraformer.shape_buckets import Pass, split, token_bound
from voxfleet.paraformer.track import Track, frame_curve, track_of, unit_curve

#: a pass of so many frames (16 minutes) keeps the largest card busy
_MOST_FRAMES = 16_384
#: graphs keep a pool beside PyTorch's cache, and other processes may want some of the card
_SHARE_OF_FREE_MEMORY = 0.3
#: time stamps of so many passes' frames are computed together
_PASSES_OF_UNITS = 2
_MOST_GRAPHS = 128
_GRAPH_BYTES = 64 << 20
_WARM_GRAPHS = 64


@dataclass(frozen=True, slots=True)
class _Batch:
    """`bounds` are tokens to decode for items, by place, where the usual bound was too small."""

    frames: Tensor
    lengths: Sequence[int]
    words: BatchWords | None
    bounds: Mapping[int, int] = field(default_factory=dict)

    def bound(self, part: Pass) -> int:
        asked = max((self.bounds.get(place, 0) for place in part.places), default=0)
        return asked or token_bound(part.shape.frames)


@dataclass(frozen=True, slots=True)
class _Launched:
    """Passes with what they will have said, still on the device; `units` of all their items."""

    passes: Sequence[Pass]
    tables: Sequence[Tensor]
    units: Sequence[Tensor]


class BatchReader:
    """`max_frames` bounds a pass; by default as many as the device has memory for."""

    def __init__(
        self,
        network: ParaformerNetwork,
        device: torch.device,
        *,
        graphs: bool,
        max_frames: int | None = None,
    ) -> None:
        self.network = network
        self._device = device
        self._max_frames = max_frames or _frames_that_fit(network.config, device)
        upsample = network.config.predictor.upsample
        self._times = upsample.times if upsample else 0
        self._graphs: CudaGraphs | None = None
        if graphs:
            capacity = min(_MOST_GRAPHS, free_bytes(device) // _GRAPH_BYTES)
            self._graphs = CudaGraphs(network, device, capacity, self._max_frames)

    @torch.inference_mode()
    def warm_up(self) -> None:
        if self._graphs is not None:
            self._graphs.warm_up(_WARM_GRAPHS)

    @torch.inference_mode()
    def read(self, frames: Tensor, lengths: Sequence[int], words: BatchWords | None) -> list[Track]:
        """One track per item of `frames` [batch, longest, 560], in order; `lengths` in frames."""
        batch = _Batch(frames, lengths, words)
        rows = self._rows(batch, split(lengths, self._max_frames))
        bounds = {place: row.count + 1 for place, row in rows.items() if row.lacks_tokens}
        if bounds:
            # one by one: such items are rare, and their scores take much memory
            alone = split([lengths[place] for place in bounds], max_frames=1)
            places = list(bounds)
            alone = [Pass((places[part.places[0]],), part.shape) for part in alone]
            rows |= self._rows(replace(batch, bounds=bounds), alone)
        return [self._track(rows[place], length) for place, length in enumerate(lengths)]

    def _rows(self, batch: _Batch, passes: Sequence[Pass]) -> dict[int, Row]:
        """By place. All is launched, then the host waits once."""
        order = [place for part in passes for place in part.places]
        numbers = torch.tensor([order, [batch.lengths[place] for place in order]])
        places, lengths = upload(numbers, self._device)
        launched = []
        start = 0
        for group in _groups(passes, _PASSES_OF_UNITS * self._max_frames):
            here = slice(start, start + sum(len(part.places) for part in group))
            launched.append(self._launch(batch, group, places[here], lengths[here]))
            start = here.stop
        return dict(_fetched(batch, launched))

    def _launch(
        self, batch: _Batch, passes: Sequence[Pass], places: Tensor, lengths: Tensor
    ) -> _Launched:
        longest, size = passes[0].shape.frames, self.network.config.encoder.size
        hidden = batch.frames.new_zeros(len(places) if self._times else 0, longest, size)
        tables = []
        start = 0
        for part in passes:
            here = slice(start, start + len(part.places))
            reading = self._read(batch, part, places[here], lengths[here])
            if self._times:
                hidden[here, : part.shape.frames] = reading.heard.hidden[: len(part.places)]
            tables.append(packed(reading, len(part.places)))
            start = here.stop
        if not self._times:
            return _Launched(passes, tables, ())
        known = [batch.lengths[place] for part in passes for place in part.places]
        return _Launched(passes, tables, (self.network.predictor.unit_weights(hidden, known),))

    def _read(self, batch: _Batch, part: Pass, places: Tensor, lengths: Tensor) -> Reading:
        def fill(features: Tensor, room: Tensor) -> None:
            longest = min(features.shape[1], batch.frames.shape[1])
            features.zero_()
            features[: len(places), :longest] = batch.frames[:, :longest].index_select(0, places)
            # spare items have one frame: attention to nothing at all would be no number
            room.fill_(1)
            room[: len(places)] = lengths

        reading = self._graphs.read(part.shape, fill) if self._graphs and not batch.bounds else None
        if reading is None:
            reading = self._eager(batch, part, fill)
        if batch.words is None:
            return reading
        return with_hotwords(self.network, reading, _chosen(batch.words, places, len(reading.ids)))

    def _eager(self, batch: _Batch, part: Pass, fill: Fill) -> Reading:
        frames = part.shape.frames
        features = batch.frames.new_empty(len(part.places), frames, batch.frames.shape[2])
        lengths = torch.empty(len(part.places), dtype=torch.int64, device=self._device)
        fill(features, lengths)
        padded = any(batch.lengths[place] < frames for place in part.places)
        heard = self.network.listen(features, lengths, padded=padded)
        return read_plainly(self.network, heard, batch.bound(part))

    def _track(self, row: Row, length: int) -> Track:
        count = max(0, min(row.count, len(row.ids)))
        weights = row.weights[: length + 1]
        if row.units is None:
            curve = frame_curve(weights)
        else:
            curve = unit_curve(row.units[: length * self._times], count, self.network.config)
        return track_of(
            row.ids[:count].tolist(), row.probabilities[:count].tolist(), curve, weights
        )


def _frames_that_fit(config: ParaformerConfig, device: torch.device) -> int:
    if device.type != "cuda":
        return _MOST_FRAMES
    # float32 numbers at the fullest moment: the scores of a token in two frames and their copies,
    # and what a layer has between its input and its output
    wide = 2 * config.encoder.linear_units + 24 * config.encoder.size + 2 * config.vocabulary_size
    fitting = int(free_bytes(device) * _SHARE_OF_FREE_MEMORY) // (4 * wide)
    return max(1, min(_MOST_FRAMES, fitting))


def _groups(passes: Sequence[Pass], max_frames: int) -> Iterator[list[Pass]]:
    """Passes in order whose time stamps are computed together.

    The BLSTM walks through the longest item step by step, and hardly longer if others walk along.
    """
    group: list[Pass] = []
    items = 0
    for part in passes:
        if group and (items + len(part.places)) * group[0].shape.frames > max_frames:
            yield group
            group, items = [], 0
        group.append(part)
        items += len(part.places)
    if group:
        yield group


def _chosen(words: BatchWords, places: Tensor, items: int) -> BatchWords:
    """The lists of these items; spare items up to `items` have the first entry of no list."""
    spare = items - len(places)
    counts = functional.pad(words.counts.index_select(0, places), (0, spare), value=1)
    if words.vectors.stride(0) == 0:
        # one list for all, seen as many times
        return BatchWords(words.vectors[:1].expand(items, -1, -1), counts)
    vectors = words.vectors.index_select(0, places)
    return BatchWords(functional.pad(vectors, (0, 0, 0, 0, 0, spare)), counts)


def _fetched(batch: _Batch, launched: Sequence[_Launched]) -> Iterator[tuple[int, Row]]:
    wanted = [table for group in launched for table in (*group.tables, *group.units)]
    tables = iter(fetch(wanted))
    for group in launched:
        found = [next(tables) for _ in group.passes]
        units = iter(next(tables)) if group.units else None
        for part, table in zip(group.passes, found, strict=True):
            tokens = batch.bound(part)
            for place, row in zip(part.places, table, strict=True):
                yield place, unpacked(row, tokens, None if units is None else next(units))
