"""Vectors of hotwords, kept on the model's device by their token ids: only new words cost anything.

Knows neither words nor batches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from voxfleet.paraformer.network import ParaformerNetwork

TokenIds = tuple[int, ...]

#: words embedded together; more would only cost memory
_CHUNK = 128


class VectorBank:
    """One tensor of rows on the model's device; the row used longest ago is used again."""

    def __init__(self, network: ParaformerNetwork, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._network = network
        self._capacity = capacity
        self._places: OrderedDict[TokenIds, int] = OrderedDict()
        self._free = list(reversed(range(capacity)))
        self._rows: Tensor | None = None

    def vectors(self, words: Sequence[TokenIds]) -> Tensor:
        """[words, size]; `words` are distinct."""
        step = min(_CHUNK, self._capacity)
        # words of like length together, so that few are padded much
        order = sorted(range(len(words)), key=lambda place: len(words[place]))
        found = [
            self._chunk([words[place] for place in order[start : start + step]])
            for start in range(0, len(order), step)
        ]
        back = torch.tensor(order).argsort().to(found[0].device)
        return torch.cat(found)[back]

    def _chunk(self, words: Sequence[TokenIds]) -> Tensor:
        for word in words:
            if word in self._places:
                self._places.move_to_end(word)
        self._add([word for word in words if word not in self._places])
        if self._rows is None:
            raise ValueError("no words")
        places = torch.tensor([self._places[word] for word in words]).to(self._rows.device)
        return self._rows[places]

    def _add(self, words: Sequence[TokenIds]) -> None:
        if not words:
            return
        vectors = self._network.embed_hotwords(words)
        free = self._make_free(len(words))
        rows = self._with_room(vectors, max(free) + 1)
        rows[torch.tensor(free).to(vectors.device)] = vectors
        self._rows = rows
        # last of all: a device without memory leaves no place that holds another word's vector
        self._places.update(zip(words, free, strict=True))
        del self._free[-len(words) :]

    def _make_free(self, count: int) -> list[int]:
        while len(self._free) < count:
            # never a word of this chunk: those were moved to the end, and all of it fits
            _, place = self._places.popitem(last=False)
            self._free.append(place)
        return self._free[-count:]

    def _with_room(self, like: Tensor, needed: int) -> Tensor:
        old = self._rows
        if old is not None and len(old) >= needed:
            return old
        length = min(self._capacity, max(2 * needed, _CHUNK))
        rows = like.new_empty(length, like.shape[1])
        if old is not None:
            rows[: len(old)] = old
        return rows
