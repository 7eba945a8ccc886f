"""Admission: who is refused, with what, and when to come back."""

from __future__ import annotations

import pytest

from voxfleet.errors import AudioTooLongError, OverloadError
from voxfleet.scheduling.admission import MAX_RETRY_AFTER_S, Load, refuse_crowd, refuse_length


def load(requests: int = 0, workers: int = 1, waiting_s: float = 0, rate: float = 10) -> Load:
    return Load(requests, workers, waiting_s, rate)


@pytest.mark.parametrize(
    ("requests", "workers", "refused"),
    [(0, 1, False), (20, 1, False), (21, 1, True), (21, 2, False), (22, 2, True)],
)
def test_twenty_may_wait_beside_those_in_work(requests: int, workers: int, refused: bool) -> None:
    assert (refuse_crowd(load(requests, workers), 20) is not None) == refused


def test_nobody_may_wait_when_the_limit_is_zero() -> None:
    assert refuse_crowd(load(0), 0) is None
    assert refuse_crowd(load(1), 0) is not None


@pytest.mark.parametrize(
    ("waiting_s", "retry_after_s"), [(0, 1), (50, 5), (1e6, MAX_RETRY_AFTER_S)]
)
def test_retry_after_is_the_estimate(waiting_s: float, retry_after_s: float) -> None:
    refusal = refuse_crowd(load(99, waiting_s=waiting_s), 20)
    assert refusal is not None
    assert refusal.retry_after_s == retry_after_s


def test_what_fits_is_let_in() -> None:
    assert refuse_length("a.wav", 3000, load(), 300) is None


def test_what_is_too_long_is_sent_to_a_job() -> None:
    refusal = refuse_length("a.wav", 3001, load(), 300)
    assert isinstance(refusal, AudioTooLongError)
    assert "a.wav" in refusal.message
    assert "job" in refusal.message


def test_what_only_waits_too_long_may_come_back() -> None:
    refusal = refuse_length("a.wav", 1500, load(waiting_s=1501), 300)
    assert isinstance(refusal, OverloadError)
    assert refusal.retryable
    assert refuse_length("a.wav", 1500, load(waiting_s=1500), 300) is None
