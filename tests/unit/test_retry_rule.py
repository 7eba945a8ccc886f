"""Which faults end a file, which are tried again, and after how long."""

from __future__ import annotations

import pytest

from voxfleet.errors import (
    BY_CODE,
    CorruptAudioError,
    DeadlineError,
    DeviceFaultError,
    EngineFaultError,
    NotFoundError,
    NotReadyError,
    OverloadError,
    PoisonError,
    RateLimitError,
    VoxfleetError,
    WorkerLostError,
)
from voxfleet.jobs.retry_rule import Again, delay_s, next_try, passes, pause_s

PASSING = (
    WorkerLostError,
    OverloadError,
    DeadlineError,
    DeviceFaultError,
    EngineFaultError,
    RateLimitError,
    VoxfleetError,
)


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_tried_until_the_attempts_are_used_up(kind: type[VoxfleetError]) -> None:
    for attempts in (1, 2):
        again = next_try(kind("x"), attempts, 3, jitter=0.5)
        assert again is not None
        assert again.counts
    assert next_try(kind("x"), 3, 3, jitter=0.5) is None


@pytest.mark.parametrize("kind", [CorruptAudioError, PoisonError, NotFoundError])
def test_a_fault_of_the_file_ends_it_at_once(kind: type[VoxfleetError]) -> None:
    assert next_try(kind("x"), 1, 5, jitter=0.5) is None
    assert next_try(kind("x"), 1, 5, jitter=0.5, stopping=True) is None


def test_a_server_without_a_model_says_nothing_about_the_file() -> None:
    assert next_try(NotReadyError("x"), 99, 5, jitter=0.5) == Again(0.0, counts=False)


def test_a_model_that_is_not_there_may_come() -> None:
    # it was there when the job was taken
    assert passes(NotFoundError("x", param="model"))
    assert not passes(NotFoundError("x", param="sources"))


def test_a_server_that_stops_uses_up_no_attempt() -> None:
    fault = WorkerLostError("x")
    assert next_try(fault, 5, 5, jitter=0.5, stopping=True) == Again(0.0, counts=False)


def test_every_error_there_is_has_an_answer() -> None:
    for kind in BY_CODE.values():
        again = next_try(kind("x"), 1, 2, jitter=0.5)
        assert again is None or 0 <= again.after_s <= 600


def test_delays_grow_fourfold_up_to_ten_minutes() -> None:
    assert [delay_s(failures, jitter=1.0) for failures in range(1, 7)] == [5, 20, 80, 320, 600, 600]
    assert delay_s(10_000, jitter=1.0) == 600


def test_chance_only_shortens_a_delay_and_by_a_quarter_at_most() -> None:
    for failures in range(1, 8):
        whole = delay_s(failures, jitter=1.0)
        shares = [delay_s(failures, jitter=step / 10) / whole for step in range(11)]
        assert shares == sorted(shares)
        assert shares[0] == pytest.approx(0.75)


def test_whoever_says_when_to_come_again_is_believed_within_reason() -> None:
    assert next_try(OverloadError("x", retry_after_s=60), 1, 5, jitter=0.0) == Again(60.0)
    assert next_try(OverloadError("x", retry_after_s=1), 1, 5, jitter=1.0) == Again(5.0)
    assert next_try(OverloadError("x", retry_after_s=1e9), 1, 5, jitter=0.0) == Again(600.0)


def test_a_database_is_left_alone_for_half_a_second_to_five() -> None:
    assert [pause_s(failures) for failures in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]
    assert pause_s(10_000) == 5
