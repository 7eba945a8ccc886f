"""How fast files are finished, and how long more of them will take."""

from __future__ import annotations

import pytest

from voxfleet.jobs.job_pace import JobPace


def steady(pace: JobPace, files: int, each_s: float, begin_s: float = 0.0) -> float:
    """One file after another; gives the time afterwards."""
    now_s = begin_s
    pace.passed(1, now_s)
    for _ in range(files):
        now_s += each_s
        pace.finished(60.0, now_s)
    pace.passed(0, now_s)
    return now_s


def test_nothing_is_known_before_the_first_file() -> None:
    pace = JobPace()
    pace.passed(3, 0.0)
    pace.passed(3, 100.0)
    assert pace.files_per_s is None
    assert pace.audio_s_per_s is None
    assert pace.estimate_s(0, 1) is None


def test_files_and_sound_are_counted_by_the_second() -> None:
    pace = JobPace()
    steady(pace, 10, each_s=2.0)
    assert pace.files_per_s == pytest.approx(0.5)
    assert pace.audio_s_per_s == pytest.approx(30.0)
    assert pace.estimate_s(30, 10) == pytest.approx(80.0)
    assert pace.estimate_s(0, 0) == 0.0


def test_a_quiet_night_makes_nothing_slower() -> None:
    pace = JobPace()
    now_s = steady(pace, 10, each_s=2.0)
    steady(pace, 10, each_s=2.0, begin_s=now_s + 40_000)
    assert pace.files_per_s == pytest.approx(0.5)


def test_it_follows_a_change_within_minutes() -> None:
    pace = JobPace()
    now_s = steady(pace, 600, each_s=1.0)
    now_s = steady(pace, 600, each_s=0.1, begin_s=now_s)
    assert pace.files_per_s == pytest.approx(600 / 300, rel=0.5)
    steady(pace, 3000, each_s=0.1, begin_s=now_s)
    assert pace.files_per_s == pytest.approx(10.0, rel=0.01)
    assert pace.audio_s_per_s == pytest.approx(600.0, rel=0.01)


def test_files_of_an_hour_each_give_an_estimate_too() -> None:
    pace = JobPace()
    steady(pace, 20, each_s=3600.0)
    assert pace.estimate_s(1, 1) == pytest.approx(7200.0, rel=0.1)


def test_a_standstill_makes_the_estimate_grow() -> None:
    pace = JobPace()
    now_s = steady(pace, 10, each_s=1.0)
    before_s = pace.estimate_s(0, 10)
    pace.passed(1, now_s)
    pace.passed(1, now_s + 50)
    after_s = pace.estimate_s(0, 10)
    assert before_s is not None
    assert after_s is not None
    assert after_s > 5 * before_s


def test_a_clock_that_goes_back_changes_nothing() -> None:
    pace = JobPace()
    now_s = steady(pace, 10, each_s=2.0)
    pace.passed(1, now_s)
    pace.passed(1, now_s - 1000)
    assert pace.files_per_s == pytest.approx(0.5)


def test_memory_is_bounded_whatever_is_finished() -> None:
    pace = JobPace()
    steady(pace, 50_000, each_s=0.001)
    assert len(pace._finishes) <= 2001
    assert pace.files_per_s == pytest.approx(1000.0, rel=0.01)
    assert pace.audio_s_per_s == pytest.approx(60_000.0, rel=0.01)
