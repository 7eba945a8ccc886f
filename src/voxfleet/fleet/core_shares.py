"""How workers share the CPU's cores: each its own where there are enough, else all of them. Pure.

A worker that runs keeps what it has. Knows no pool by name and no card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cores = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CoreShare:
    """`cores` () is a worker that may run on every core; `threads` is how many it should start."""

    cores: Cores
    threads: int


@dataclass(frozen=True, slots=True)
class CoreWish:
    """Of one pool: `count` new workers beside those that hold `taken`, at most `slots` in all.

    `asked` are the cores it names, () where it leaves them to us. Workers of a card (`on_cpu`
    False) are bound to none by themselves.
    """

    pool: str
    count: int
    slots: int
    taken: tuple[Cores, ...] = ()
    asked: Cores = ()
    on_cpu: bool = True


def share_out(
    wishes: Sequence[CoreWish], cores: Cores, own_cores: bool
) -> dict[str, list[CoreShare]]:
    """By pool, what its new workers get; without `own_cores` only who asks for cores is bound."""
    choosing = [wish for wish in wishes if wish.on_cpu and not wish.asked]
    count, slots = sum(wish.count for wish in choosing), sum(wish.slots for wish in choosing)
    if own_cores:
        asked = [core for wish in wishes for core in wish.asked]
        taken = [share for wish in choosing for share in wish.taken]
        own = iter(own_shares(cores, asked, taken, count, slots))
    else:
        own = iter(roaming_shares(cores, slots, count))
    everyone = sum(wish.slots for wish in wishes)
    shares = {}
    for wish in wishes:
        if wish.asked:
            shares[wish.pool] = named_shares(wish.asked, wish.slots, wish.taken, wish.count)
        elif wish.on_cpu:
            shares[wish.pool] = [next(own) for _ in range(wish.count)]
        else:
            shares[wish.pool] = roaming_shares(cores, everyone, wish.count)
    return shares


def split_evenly(cores: Cores, parts: int) -> list[Cores]:
    """Neighbouring cores stay together; the first parts are larger by one where it does not go."""
    size, larger = divmod(len(cores), parts)
    ends = [(part + 1) * size + min(part + 1, larger) for part in range(parts)]
    return [cores[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def named_shares(asked: Cores, slots: int, taken: Sequence[Cores], count: int) -> list[CoreShare]:
    """For `count` more workers of a pool that names its cores and may have `slots` workers.

    `taken` are the cores of its workers that run.
    """
    held = {core for cores in taken for core in cores}
    parts = split_evenly(asked, slots) if slots <= len(asked) else []
    free = [part for part in parts if held.isdisjoint(part)]
    if len(free) >= count:
        return [CoreShare(part, len(part)) for part in free[:count]]
    return [CoreShare(asked, max(1, len(asked) // max(slots, len(taken) + count)))] * count


def own_shares(
    cores: Cores, named: Sequence[int], taken: Sequence[Cores], count: int, slots: int
) -> list[CoreShare]:
    """For `count` more workers that name no cores and compute on the CPU.

    `named` are cores that a pool has named, `taken` those of workers like these that run, `slots`
    how many of these there may be in all.
    """
    if slots <= 1 and not named:
        return [CoreShare((), len(cores))] * count
    held = {*named, *(core for share in taken for core in share)}
    free = tuple(core for core in cores if core not in held)
    parts = max(count, slots - len(taken))
    # one that roams over all cores would disturb those that have their own
    if () not in taken and 0 < parts <= len(free):
        return [CoreShare(part, len(part)) for part in split_evenly(free, parts)[:count]]
    return roaming_shares(cores, max(slots, len(taken) + count), count)


def roaming_shares(cores: Cores, sharers: int, count: int) -> list[CoreShare]:
    """For workers that are bound to no core, `sharers` of them in all."""
    return [CoreShare((), max(1, len(cores) // max(1, sharers)))] * count
