"""Admission: who is refused, with what, and when to come back; and what is still to come."""

from __future__ import annotations

import pytest

from voxfleet.errors import AudioTooLongError, OverloadError
from voxfleet.scheduling.admission import MAX_RETRY_AFTER_S, Load, refuse_crowd, refuse_length
from voxfleet.scheduling.backlog import Backlog


def load(
    requests: int = 0,
    workers: int = 1,
    waiting_s: float = 0,
    rate: float = 10,
    measured: bool = True,
) -> Load:
    return Load(requests, workers, waiting_s, rate, measured)


def refused(load: Load, max_waiting: int = 20) -> OverloadError | None:
    return refuse_crowd(load, max_waiting, max_wait_s=30, max_requests=100)


@pytest.mark.parametrize(
    ("requests", "workers", "expected"),
    [(0, 1, False), (20, 1, False), (21, 1, True), (21, 2, False), (22, 2, True)],
)
def test_before_anything_is_measured_the_number_decides(
    requests: int, workers: int, expected: bool
) -> None:
    assert (refused(load(requests, workers, measured=False)) is not None) == expected


@pytest.mark.parametrize("measured", [True, False])
def test_a_few_may_wait_however_long_it_takes(measured: bool) -> None:
    assert refused(load(20, waiting_s=1e9, measured=measured)) is None


@pytest.mark.parametrize(
    ("requests", "waiting_s", "expected"),
    [(21, 300, False), (21, 301, True), (99, 300, False), (99, 301, True), (100, 0, True)],
)
def test_beyond_them_the_wait_decides_up_to_a_limit(
    requests: int, waiting_s: float, expected: bool
) -> None:
    assert (refused(load(requests, waiting_s=waiting_s)) is not None) == expected


def test_many_workers_are_not_left_without_work_by_the_limit() -> None:
    assert refused(load(150, workers=200)) is None
    assert refused(load(220, workers=200)) is not None


def test_nobody_may_wait_when_the_limit_is_zero() -> None:
    assert refused(load(0, measured=False), max_waiting=0) is None
    assert refused(load(1, measured=False), max_waiting=0) is not None


@pytest.mark.parametrize(
    ("crowd", "words"),
    [
        (load(100), "100 requests are being answered"),
        (load(21, measured=False), "21 requests are being answered"),
        (load(21, waiting_s=610), "would wait about 61 s here and may wait 30 s"),
    ],
)
def test_a_refusal_says_why(crowd: Load, words: str) -> None:
    refusal = refused(crowd)
    assert refusal is not None
    assert words in refusal.message
    assert refusal.retryable


@pytest.mark.parametrize(
    ("waiting_s", "retry_after_s"), [(0, 1), (50, 5), (310, 31), (1e6, MAX_RETRY_AFTER_S)]
)
@pytest.mark.parametrize("measured", [True, False])
def test_retry_after_is_the_estimate(
    waiting_s: float, retry_after_s: float, measured: bool
) -> None:
    refusal = refused(load(100, waiting_s=waiting_s, measured=measured))
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


def test_nothing_is_expected_before_anything_is_known() -> None:
    assert Backlog().expected_s(10) == 0


def test_the_first_requests_count_alike() -> None:
    backlog = Backlog()
    for audio_s in (10, 20, 60):
        backlog.finished(audio_s)
    assert backlog.expected_s(2) == pytest.approx(60)
    assert backlog.expected_s(0) == 0


def test_the_mean_follows_what_is_asked_now() -> None:
    backlog = Backlog()
    for _ in range(1000):
        backlog.finished(3600)
    for _ in range(200):
        backlog.finished(10)
    assert backlog.expected_s(1) == pytest.approx(10, rel=0.1)


def test_one_long_request_does_not_become_the_rule() -> None:
    backlog = Backlog()
    for _ in range(100):
        backlog.finished(10)
    backlog.finished(3610)
    assert backlog.expected_s(1) == pytest.approx(10 + 180)
