"""A pool's pace: the measured rate, the learned line, and limits that grow with every hang."""

from __future__ import annotations

import pytest

from voxfleet.fleet.pace_meter import BatchLimit, PaceMeter
from voxfleet.pool_contract import TimeModel


def test_the_rate_follows_recent_batches() -> None:
    meter = PaceMeter()
    assert meter.rate is None
    meter.observe(10.0, 10.0, 1.0)
    assert meter.rate == pytest.approx(10.0)
    for _ in range(30):
        meter.observe(10.0, 10.0, 5.0)
    assert meter.rate == pytest.approx(2.0, rel=0.05)


def test_the_limit_of_a_batch_is_four_times_the_prediction() -> None:
    meter = PaceMeter()
    assert meter.limit(30.0, 3.0, 10.0) == BatchLimit(40.0, learned=False)
    assert meter.limit(1.0, 3.0, 10.0) == BatchLimit(10.0, learned=False)


def test_finished_batches_replace_the_guess() -> None:
    meter = PaceMeter()
    meter.observe(10.0, 10.0, 10.0)
    assert meter.limit(30.0, 3.0, 10.0) == BatchLimit(120.0, learned=True)


def test_hangs_make_limits_longer_until_a_batch_is_finished() -> None:
    meter = PaceMeter()
    limits = []
    for _ in range(4):
        limits.append(meter.limit(30.0, 3.0, 10.0).limit_s)
        meter.observe_hang()
    assert limits == [40.0, 160.0, 640.0, 640.0]
    assert meter.rate is None
    meter.observe(30.0, 30.0, 10.0)
    assert meter.limit(30.0, 3.0, 10.0) == BatchLimit(40.0, learned=True)


def test_a_machine_that_became_slower_is_waited_for_too() -> None:
    meter = PaceMeter()
    meter.observe(100.0, 100.0, 1.0)
    meter.observe_hang()
    assert meter.limit(1.0, 3.0, 10.0).limit_s == 40.0
    assert meter.rate == pytest.approx(100.0)


def test_fixed_and_growing_cost_are_told_apart() -> None:
    meter = PaceMeter()
    for padded_s in (10.0, 60.0, 20.0, 120.0, 30.0):
        meter.observe(padded_s * 0.9, padded_s, 0.02 + padded_s / 400)
    model = meter.model(1.0)
    assert model.learned
    assert model.fixed_s == pytest.approx(0.02, rel=1e-6)
    assert model.per_padded_s == pytest.approx(1 / 400, rel=1e-6)
    assert model.predict_s(40.0) == pytest.approx(0.12)
    assert model.padded_within_s(0.12) == pytest.approx(40.0)
    assert model.padded_within_s(0.01) == 0.0


def test_batches_of_one_size_cannot_tell_what_is_fixed() -> None:
    meter = PaceMeter()
    for _ in range(5):
        meter.observe(50.0, 50.0, 5.0)
    model = meter.model(1.0)
    assert model.fixed_s == 0.0
    assert model.per_padded_s == pytest.approx(0.1)


def test_noise_never_makes_a_batch_cheaper_than_nothing() -> None:
    meter = PaceMeter()
    meter.observe(10.0, 10.0, 5.0)
    meter.observe(100.0, 100.0, 1.0)
    model = meter.model(1.0)
    assert model.per_padded_s > 0
    assert model.predict_s(50.0) > 0


def test_before_the_first_batch_the_guess_holds() -> None:
    assert PaceMeter().model(4.0) == TimeModel(0.0, 0.25)
