"""Numbers of a batch to and from the device: one copy each way, and one wait at the end.

Everything travels as int32, floats by their bits. Knows no network and no pass's shape.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxfleet.paraformer.reading import Reading


@dataclass(frozen=True, slots=True)
class Row:
    """One item on the host: `ids` as many as were asked for, of which `count` are meant."""

    count: int
    ids: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    weights: NDArray[np.float32]
    units: NDArray[np.float32] | None = None

    @property
    def lacks_tokens(self) -> bool:
        # what is no number has no count either
        return self.count > len(self.ids) and bool(np.isfinite(self.weights).all())


def upload(numbers: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda":
        numbers = numbers.pin_memory()
    return numbers.to(device, non_blocking=True)


def packed(reading: Reading, items: int) -> Tensor:
    """[items, columns]: count, ids, probabilities and weights side by side, a copy of its own."""
    parts = (
        reading.counts[:, None].int(),
        reading.ids.int(),
        reading.probabilities.view(torch.int32),
        reading.heard.predicted.weights.view(torch.int32),
    )
    return torch.cat(parts, dim=1)[:items]


def fetch(tables: Sequence[Tensor]) -> list[NDArray[np.int32]]:
    """The same tables on the host; this is where it waits for the device."""
    flat = torch.cat([table.reshape(-1).view(torch.int32) for table in tables])
    if flat.device.type == "cuda":
        host = torch.empty(flat.shape, dtype=torch.int32, pin_memory=True)
        host.copy_(flat, non_blocking=True)
        torch.cuda.current_stream(flat.device).synchronize()
        flat = host
    numbers: NDArray[np.int32] = flat.numpy()
    ends = list(itertools.accumulate(math.prod(table.shape) for table in tables))
    pieces = np.split(numbers, ends[:-1])
    return [piece.reshape(table.shape) for piece, table in zip(pieces, tables, strict=True)]


def unpacked(row: NDArray[np.int32], tokens: int, units: NDArray[np.int32] | None) -> Row:
    """One line of what `packed` made for so many tokens."""
    weights = row[1 + 2 * tokens :].view(np.float32)
    probabilities = row[1 + tokens : 1 + 2 * tokens].view(np.float32)
    fine = None if units is None else units.view(np.float32)
    return Row(int(row[0]), row[1 : 1 + tokens], probabilities, weights, fine)
