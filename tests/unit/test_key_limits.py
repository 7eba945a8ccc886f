"""Limits of a key: never more than its burst and its rate, never more at once, and when again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import RateLimitError
from voxfleet.gateway.key_limits import KeyLimits
from voxfleet.store.access_key import Key, Scope


def key(per_minute: int | None = None, concurrent: int | None = None, key_id: str = "a") -> Key:
    return Key(key_id, "desk", frozenset({Scope.TRANSCRIBE}), per_minute, concurrent)


def enters(limits: KeyLimits, asked: Key, now_s: float) -> bool:
    try:
        limits.enter(asked, now_s)
    except RateLimitError:
        return False
    return True


def wait_s(limits: KeyLimits, asked: Key, now_s: float) -> float:
    with pytest.raises(RateLimitError) as caught:
        limits.enter(asked, now_s)
    assert caught.value.retry_after_s is not None
    return caught.value.retry_after_s


def test_a_minutes_requests_may_come_at_once() -> None:
    limits, slow = KeyLimits(), key(per_minute=3)
    assert [enters(limits, slow, 10.0) for _ in range(4)] == [True, True, True, False]


def test_the_wait_it_is_told_is_enough_and_not_too_much() -> None:
    limits, slow = KeyLimits(), key(per_minute=6)
    for _ in range(6):
        limits.enter(slow, 10.0)
    told_s = wait_s(limits, slow, 12.5)
    assert told_s == pytest.approx(7.5)
    assert not enters(limits, slow, 12.5 + told_s - 0.01)
    assert enters(limits, slow, 12.5 + told_s + 0.01)


def test_a_long_pause_saves_up_no_more_than_the_burst() -> None:
    limits, slow = KeyLimits(), key(per_minute=2)
    limits.enter(slow, 0.0)
    assert [enters(limits, slow, 86_400.0) for _ in range(3)] == [True, True, False]


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    limits, slow = KeyLimits(), key(per_minute=1)
    limits.enter(slow, 100.0)
    assert not enters(limits, slow, 50.0)
    assert not enters(limits, slow, 90.0)


def test_only_so_many_at_once() -> None:
    limits, narrow = KeyLimits(), key(concurrent=2)
    limits.enter(narrow, 0.0)
    limits.enter(narrow, 0.0)
    assert wait_s(limits, narrow, 0.0) == 1.0
    limits.leave(narrow)
    assert enters(limits, narrow, 0.0)


def test_a_refused_crowd_costs_no_request() -> None:
    limits, both = KeyLimits(), key(per_minute=2, concurrent=1)
    limits.enter(both, 0.0)
    for _ in range(5):
        assert not enters(limits, both, 0.0)
    limits.leave(both)
    assert enters(limits, both, 0.0)


def test_keys_do_not_share() -> None:
    limits = KeyLimits()
    assert enters(limits, key(1, 1, "a"), 0.0)
    assert enters(limits, key(1, 1, "b"), 0.0)


def test_the_fault_names_the_key_and_the_limit() -> None:
    limits, slow = KeyLimits(), key(per_minute=1)
    limits.enter(slow, 0.0)
    with pytest.raises(RateLimitError, match=r"key a may make 1 requests a minute .* 60\.0 s"):
        limits.enter(slow, 0.0)


@given(
    st.integers(1, 600),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=300),
)
def test_never_more_than_burst_and_rate(per_minute: int, pauses_s: list[float]) -> None:
    """In every stretch of time, not only from the start."""
    limits, limited = KeyLimits(), key(per_minute=per_minute)
    now_s, let_in = 0.0, []
    for pause_s in pauses_s:
        now_s += pause_s
        if enters(limits, limited, now_s):
            let_in.append(now_s)
    for first, start_s in enumerate(let_in):
        for last in range(first, len(let_in)):
            most = per_minute + (let_in[last] - start_s) * per_minute / 60
            assert last - first + 1 <= most + 1e-6


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_never_more_at_once(concurrent: int, comings: list[bool]) -> None:
    limits, narrow, running = KeyLimits(), key(concurrent=concurrent), 0
    for comes in comings:
        if comes:
            entered = enters(limits, narrow, 0.0)
            assert entered == (running < concurrent)
            running += entered
        elif running:
            limits.leave(narrow)
            running -= 1
