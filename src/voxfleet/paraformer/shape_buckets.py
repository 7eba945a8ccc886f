"""How a batch of unlike lengths is cut into passes of few shapes, and which shapes are worth more.

Pure numbers: frames are those of the encoder (60 ms). Knows no tensor and no device.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

#: 30.7 s: beyond it the device is busy for so long that launching costs nothing
LONGEST_BUCKET = 512
MOST_ITEMS = 256
#: what a pass costs however small it is, in frames that are read in the same time. Some 1,500
#: kernels follow one another in a pass, each of a few microseconds at least
PASS_FRAMES = 1200

_FIRST_BUCKET = 16
_FRAME_STEP = 8
#: with 8 steps to each doubling at most an eighth of a bucket is padding
_STEPS_PER_DOUBLING = 8
_ITEM_BUCKETS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, MOST_ITEMS)
_FRAME_S = 0.06
#: speech has up to 8 tokens a second, which is one in two frames
_TOKENS_PER_FRAME = 0.5
_SPARE_TOKENS = 8
#: how much audio a server sends at once: alone, under light load, and under full load
_EXPECTED_BATCHES_S = (30.0, 120.0, 300.0, 600.0)
_EXPECTED_LENGTHS_S = (1.0, 30.0)
_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Shape:
    items: int
    frames: int

    @property
    def padded_frames(self) -> int:
        return self.items * self.frames


@dataclass(frozen=True, slots=True)
class Pass:
    """Items of a batch that are read together, the longest first; `shape` may have room left."""

    places: tuple[int, ...]
    shape: Shape


def frame_bucket(frames: int) -> int:
    """The smallest bucket with room for so many frames; a multiple of 8, as kernels like it."""
    if frames <= _FIRST_BUCKET:
        return _FIRST_BUCKET
    octave = 1 << (frames - 1).bit_length() - 1
    step = max(_FRAME_STEP, octave // _STEPS_PER_DOUBLING)
    return -(-frames // step) * step


def item_bucket(items: int) -> int:
    if items > MOST_ITEMS:
        raise ValueError(f"{items} items: a pass has at most {MOST_ITEMS}")
    return next(bucket for bucket in _ITEM_BUCKETS if bucket >= items)


def token_bound(frames: int) -> int:
    """More tokens than anybody says in so many frames; what has more is read again."""
    bound = math.ceil(frames * _TOKENS_PER_FRAME) + _SPARE_TOKENS
    return -(-bound // _FRAME_STEP) * _FRAME_STEP


def split(lengths: Sequence[int], max_frames: int, pass_frames: int = PASS_FRAMES) -> list[Pass]:
    """The passes that cost least together, the longest items first.

    `max_frames` bounds each pass with its padding; an item that is longer goes alone.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    frames = [frame_bucket(lengths[place]) for place in order]
    sizes = _best_sizes(frames, max_frames, pass_frames)
    passes, start = [], 0
    while start < len(order):
        places = tuple(order[start : start + sizes[start]])
        passes.append(Pass(places, Shape(item_bucket(len(places)), frames[start])))
        start += len(places)
    return passes


def _best_sizes(frames: Sequence[int], max_frames: int, pass_frames: int) -> list[int]:
    """For each place of a descending list, how many items a pass that begins there should have."""
    costs = [0] * (len(frames) + 1)
    sizes = [1] * len(frames)
    for start in reversed(range(len(frames))):
        costs[start] = pass_frames + frames[start] + costs[start + 1]
        for size, room in _pass_sizes(len(frames) - start):
            padded = room * frames[start]
            if padded > max_frames:
                break
            cost = pass_frames + padded + costs[start + size]
            if cost < costs[start]:
                costs[start], sizes[start] = cost, size
    return sizes


def _pass_sizes(left: int) -> list[tuple[int, int]]:
    """Items of a pass and the bucket they are in: full buckets, or all that is left."""
    full = [(bucket, bucket) for bucket in _ITEM_BUCKETS if bucket <= left]
    if left < MOST_ITEMS and full[-1][0] != left:
        full.append((left, item_bucket(left)))
    return full


def expected_shapes(most: int, max_frames: int) -> list[Shape]:
    """Shapes worth a warm-up, the largest first: single items, then what mixed batches come to."""
    lengths = range(_FIRST_BUCKET, LONGEST_BUCKET + 1)
    singles = [Shape(1, frames) for frames in sorted({frame_bucket(n) for n in lengths})]
    counts: Counter[Shape] = Counter()
    draw = random.Random(0)  # noqa: S311 - the same shapes at every start, no secret
    for batch_s in _EXPECTED_BATCHES_S:
        for _ in range(_DRAWS):
            counts.update(part.shape for part in split(_mixed(batch_s, draw), max_frames))
    mixed = [shape for shape, _ in counts.most_common() if shape.items > 1]
    chosen = [shape for shape in (*singles, *mixed) if has_graph_size(shape, max_frames)][:most]
    return sorted(chosen, key=lambda shape: -shape.padded_frames)


def _mixed(batch_s: float, draw: random.Random) -> list[int]:
    lengths: list[int] = []
    while sum(lengths) * _FRAME_S < batch_s:
        lengths.append(math.ceil(draw.uniform(*_EXPECTED_LENGTHS_S) / _FRAME_S))
    return lengths


def has_graph_size(shape: Shape, max_frames: int) -> bool:
    return shape.frames <= LONGEST_BUCKET and shape.padded_frames <= max_frames


class Way(Enum):
    """How a shape is read this time."""

    EAGER = auto()
    CAPTURE = auto()
    REPLAY = auto()


class CapturePlan:
    """Which shapes have a graph: from their second use on, at most `capacity` of them.

    Capturing takes as long as many passes, so a newcomer takes the place of the least used only
    once it has been used twice as often: traffic of too many shapes does not capture for ever.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._uses: Counter[Shape] = Counter()
        self._captured: set[Shape] = set()

    def way(self, shape: Shape) -> Way:
        """Counts this use."""
        self._uses[shape] += 1
        if shape in self._captured:
            return Way.REPLAY
        if self._uses[shape] < 2 or self.capacity == 0:
            return Way.EAGER
        if len(self._captured) < self.capacity:
            return Way.CAPTURE
        return Way.CAPTURE if self._uses[shape] > 2 * self._uses[self._least()] else Way.EAGER

    def captured(self, shape: Shape) -> Shape | None:
        """Notes a new graph; the answer is the shape whose graph has to go for it."""
        dropped = self._least() if len(self._captured) >= self.capacity else None
        if dropped is not None:
            self._captured.remove(dropped)
        self._captured.add(shape)
        return dropped

    def _least(self) -> Shape:
        return min(self._captured, key=lambda shape: self._uses[shape])
