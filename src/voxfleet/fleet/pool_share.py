"""How the work of one model is shared by its pools: by weight, where more than one is free. Pure.

Knows neither workers nor segments: pools by name, and what each was given.
"""

from __future__ import annotations


class PoolShare:
    """A pool that joins late, or was away, starts level with the least served of the others."""

    def __init__(self) -> None:
        self._served: dict[str, float] = {}

    def burden(self, pool: str) -> float:
        """What it was given, by its weight; the least burdened is given next."""
        return self._served.get(pool, 0.0)

    def join(self, pool: str) -> None:
        others = [served for name, served in self._served.items() if name != pool]
        self._served[pool] = max(self.burden(pool), min(others, default=0.0))

    def give(self, pool: str, padded_s: float, weight: float) -> None:
        self._served[pool] = self.burden(pool) + padded_s / weight
