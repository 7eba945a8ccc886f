"""A pool's pace: the measured rate, and limits that grow with every hang until a batch ends."""

from __future__ import annotations

import pytest

from voxfleet.fleet.rate_meter import BatchLimit, RateMeter


def test_the_rate_follows_recent_batches() -> None:
    meter = RateMeter()
    assert meter.rate is None
    meter.observe(10.0, 1.0)
    assert meter.rate == pytest.approx(10.0)
    for _ in range(30):
        meter.observe(10.0, 5.0)
    assert meter.rate == pytest.approx(2.0, rel=0.05)


def test_the_limit_of_a_batch_is_four_times_the_prediction() -> None:
    meter = RateMeter()
    assert meter.limit(30.0, 3.0, 10.0) == BatchLimit(40.0, learned=False)
    assert meter.limit(1.0, 3.0, 10.0) == BatchLimit(10.0, learned=False)


def test_finished_batches_replace_the_guess() -> None:
    meter = RateMeter()
    meter.observe(10.0, 10.0)
    assert meter.limit(30.0, 3.0, 10.0) == BatchLimit(120.0, learned=True)


def test_hangs_make_limits_longer_until_a_batch_is_finished() -> None:
    meter = RateMeter()
    limits = []
    for _ in range(4):
        limits.append(meter.limit(30.0, 3.0, 10.0).limit_s)
        meter.observe_hang()
    assert limits == [40.0, 160.0, 640.0, 640.0]
    assert meter.rate is None
    meter.observe(30.0, 10.0)
    assert meter.limit(30.0, 3.0, 10.0) == BatchLimit(40.0, learned=True)


def test_a_machine_that_became_slower_is_waited_for_too() -> None:
    meter = RateMeter()
    meter.observe(100.0, 1.0)
    meter.observe_hang()
    assert meter.limit(1.0, 3.0, 10.0).limit_s == 40.0
    assert meter.rate == pytest.approx(100.0)
