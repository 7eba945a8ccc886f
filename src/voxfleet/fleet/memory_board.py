"""What is written down of memory while a plan is made: who sits where, and what is left. Pure.

Knows cards and the CPU by their keys; says in one line of arithmetic why something does not fit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from voxfleet.fleet.card_names import Place

_MIB_PER_GIB = 1024
_REMEDY = (
    "lower instances, choose a smaller precision, name more devices,"
    " or set memory_mb where the estimate is too high"
)


@dataclass(slots=True)
class MemoryBoard:
    """`reserve_mb` is left free on every card; the CPU has none: its free memory is all spare."""

    reserve_mb: int
    _sitting: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def add(self, key: str, pool: str, need_mb: int) -> None:
        self._sitting.setdefault(key, []).append((pool, need_mb))

    def needs(self, key: str) -> list[int]:
        return [need_mb for _, need_mb in self._sitting.get(key, [])]

    def left_mb(self, place: Place) -> float:
        if place.free_mb is None:
            return math.inf
        return place.free_mb - self._reserve_mb(place) - sum(self.needs(place.key))

    def fits(self, place: Place, need_mb: int) -> bool:
        """What nobody knows the need of always does."""
        return need_mb == 0 or self.left_mb(place) >= need_mb

    def room_for(self, place: Place, need_mb: int) -> float:
        """How many more of that need fit; infinite where need or memory are unknown."""
        left_mb = self.left_mb(place)
        if need_mb == 0 or math.isinf(left_mb):
            return math.inf
        return max(0, int(left_mb) // need_mb)

    def best(self, places: Sequence[Place], need_mb: int, counts: Mapping[str, int]) -> Place:
        """Where the pool has fewest (`counts`), of those the freest; where it fits, if anywhere."""
        fitting = [place for place in places if self.fits(place, need_mb)]
        return min(
            fitting or places,
            key=lambda place: (counts.get(place.key, 0), -self.left_mb(place)),
        )

    def arithmetic(self, place: Place) -> str:
        """Why what sits there is too much."""
        sitting = [(pool, need_mb) for pool, need_mb in self._sitting[place.key] if need_mb]
        terms_mb = [need_mb for _, need_mb in sitting]
        free_mb, reserve_mb = place.free_mb or 0, self._reserve_mb(place)
        # where it would fit without the reserve, that belongs into the sum
        summed = [reserve_mb] if sum(terms_mb) <= free_mb else []
        size = _size_format([*terms_mb, *summed], free_mb)
        counts = sorted(Counter(terms_mb).items(), reverse=True)
        terms = [_times(count, size(need_mb)) for need_mb, count in counts]
        terms += [f"{size(reserve_mb)} reserve" for _ in summed]
        reserve = f" (reserve {size(reserve_mb)})" if reserve_mb and not summed else ""
        return (
            f"{' + '.join(terms)} > {size(free_mb)} free on {place.label}{reserve}:"
            f" {_whose(pool for pool, _ in sitting)}; {_REMEDY}"
        )

    def _reserve_mb(self, place: Place) -> int:
        return self.reserve_mb if place.key else 0


def _times(count: int, size: str) -> str:
    return size if count == 1 else f"{count} × {size}"


def _whose(pools: Iterable[str]) -> str:
    counts = Counter(pools)
    return ", ".join(f"{count} of pool {pool}" for pool, count in counts.items())


def _gib(size_mb: int) -> str:
    return f"{size_mb / _MIB_PER_GIB:.1f} GiB"


def _mib(size_mb: int) -> str:
    return f"{size_mb} MiB"


def _size_format(terms_mb: Sequence[int], free_mb: int) -> Callable[[int], str]:
    """GiB, as long as the rounded numbers still show that the terms are more than what is free."""
    tenths = [round(10 * term_mb / _MIB_PER_GIB) for term_mb in terms_mb]
    visible = all(tenths) and sum(tenths) > round(10 * free_mb / _MIB_PER_GIB)
    return _gib if visible else _mib
