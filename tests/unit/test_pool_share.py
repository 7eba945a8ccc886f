"""The pools of one model share its work by weight, and nobody saves up for later."""

from __future__ import annotations

from voxfleet.fleet.pool_share import PoolShare

WEIGHTS = {"a": 3.0, "b": 1.0}


def served(share: PoolShare, rounds: int, pools: dict[str, float]) -> dict[str, int]:
    """How often each was the least burdened of the pools, given ten seconds each time."""
    turns = dict.fromkeys(pools, 0)
    for _ in range(rounds):
        pool = min(pools, key=share.burden)
        share.give(pool, 10.0, pools[pool])
        turns[pool] += 1
    return turns


def test_work_follows_the_weights() -> None:
    share = PoolShare()
    for pool in WEIGHTS:
        share.join(pool)
    assert served(share, 40, WEIGHTS) == {"a": 30, "b": 10}


def test_who_joins_late_starts_level() -> None:
    share = PoolShare()
    share.join("a")
    served(share, 100, {"a": 1.0})
    share.join("b")
    assert served(share, 10, {"a": 1.0, "b": 1.0}) == {"a": 5, "b": 5}


def test_joining_again_forgives_nothing() -> None:
    share = PoolShare()
    for pool in "ab":
        share.join(pool)
    share.give("a", 100.0, 1.0)
    share.join("a")
    assert share.burden("a") == 100.0
    assert share.burden("b") == 0.0
