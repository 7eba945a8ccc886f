"""When a pool grows and shrinks, verdict by verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voxfleet.fleet.autoscale import PoolLoad, ScaleRule, ScaleState, ScaleVerdict, decide

RULE = ScaleRule(min_instances=1, max_instances=8, up_delay_s=30, down_delay_s=300, target_wait_s=5)
CALM = PoolLoad(2, 0, queued_s=0, rate_per_instance=10, busy_share=0.5, fits=8)
#: 24 s of waiting for two instances; five of them would bring it under 10, ten under 5
CROWD = replace(CALM, queued_s=480, busy_share=1)

TICK_S = 5.0


def verdicts(
    rule: ScaleRule, load: PoolLoad, ticks: int, state: ScaleState | None = None
) -> list[tuple[float, ScaleVerdict]]:
    """What is said under a load that stays the same but for the number of instances."""
    state = state or ScaleState()
    said: list[tuple[float, ScaleVerdict]] = []
    for tick in range(ticks):
        verdict, state = decide(rule, load, state, tick * TICK_S)
        if verdict:
            said.append((tick * TICK_S, verdict))
            load = replace(load, instances=verdict.to_instances)
    return said


def after_delay(rule: ScaleRule, load: PoolLoad) -> ScaleVerdict | None:
    """The verdict at the end of the longest delay; before it there must be none."""
    _, state = decide(rule, load, ScaleState(), 0.0)
    verdict, _ = decide(rule, load, state, max(rule.up_delay_s, rule.down_delay_s))
    return verdict


def said(verdict: ScaleVerdict | None) -> str:
    assert verdict is not None
    return verdict.reason


# -- up -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "rule", "wanted"),
    [
        (CROWD, RULE, 8),
        (replace(CROWD, queued_s=240), RULE, 5),
        (replace(CROWD, queued_s=240.1), RULE, 5),
        (replace(CROWD, queued_s=250.1), RULE, 6),
        (replace(CROWD, queued_s=101), RULE, 3),
        (replace(CROWD, queued_s=100), RULE, None),
        (replace(CROWD, fits=4), RULE, 4),
        (CROWD, replace(RULE, max_instances=3), 3),
        # those that start count as there
        (replace(CROWD, instances=5, starting=3, queued_s=240), RULE, None),
        (replace(CROWD, instances=5, starting=3, queued_s=300), RULE, 6),
    ],
)
def test_as_many_as_bring_the_wait_under_the_goal(
    load: PoolLoad, rule: ScaleRule, wanted: int | None
) -> None:
    verdict = after_delay(rule, load)
    assert (verdict.to_instances if verdict else None) == wanted


def test_pressure_must_last_without_a_break() -> None:
    verdict, state = decide(RULE, CROWD, ScaleState(), 0)
    assert verdict is None
    verdict, state = decide(RULE, CROWD, state, 29.9)
    assert verdict is None
    broken, after_break = decide(RULE, CALM, state, 29.95)
    assert broken is None
    assert decide(RULE, CROWD, after_break, 31)[0] is None
    verdict, state = decide(RULE, CROWD, state, 30)
    assert said(verdict) == (
        "480.0 s of sound for 2 instances at 10.0 times real time waited 24.0 s,"
        " over the goal of 5 s for 30 s, and 8 are the most allowed; 2 → 8."
    )
    # and the next number is given its time
    assert state == ScaleState(8)


def test_memory_is_named_as_the_limit() -> None:
    assert "and memory allows 3; 2 → 3." in said(after_delay(RULE, replace(CROWD, fits=3)))


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (replace(CROWD, fits=2), "but memory allows 2; stays 2."),
        (replace(CROWD, fits=1), "but memory allows 1; stays 2."),
        (replace(CROWD, instances=8), "but 8 are the most allowed; stays 8."),
        (
            replace(CROWD, device_load=0.97),
            "but the device is at 97% already and would be no faster for it; stays 2.",
        ),
    ],
)
def test_what_stands_in_the_way_is_told_once(load: PoolLoad, why: str) -> None:
    told = verdicts(RULE, load, 1000)
    assert [at_s for at_s, _ in told] == [30]
    assert told[0][1].reason.endswith(why)
    assert told[0][1].to_instances == load.instances


def test_what_stands_in_the_way_is_told_anew_with_new_pressure() -> None:
    full = replace(CROWD, fits=2)
    state = ScaleState()
    told = []
    for now_s, load in [(0, full), (30, full), (60, full), (61, CALM), (62, full), (92, full)]:
        verdict, state = decide(RULE, load, state, now_s)
        if verdict:
            told.append(now_s)
    assert told == [30, 92]


def test_obstacles_that_take_turns_are_told_once_each() -> None:
    state = ScaleState()
    told = []
    for tick in range(200):
        load = replace(CROWD, instances=8, device_load=0.99 if tick % 2 else 0.9)
        verdict, state = decide(RULE, load, state, tick * TICK_S)
        if verdict:
            told.append(verdict.reason)
    assert len(told) == 2


@pytest.mark.parametrize("device_load", [None, 0.0, 0.95])
def test_a_device_with_reserve_is_no_obstacle(device_load: float | None) -> None:
    verdict = after_delay(RULE, replace(CROWD, device_load=device_load))
    assert verdict is not None
    assert verdict.to_instances == 8


# -- before anything is measured ------------------------------------------------------------------

UNMEASURED = replace(CROWD, rate_per_instance=None)


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (UNMEASURED, 3),
        (replace(UNMEASURED, busy_share=0.5), None),
        (replace(UNMEASURED, queued_s=0), None),
        (replace(UNMEASURED, starting=1), None),
        (replace(UNMEASURED, fits=2), 2),
    ],
)
def test_unmeasured_grows_by_one_where_all_are_busy(load: PoolLoad, wanted: int | None) -> None:
    verdict = after_delay(RULE, load)
    assert (verdict.to_instances if verdict else None) == wanted


def test_unmeasured_says_what_it_goes_by() -> None:
    assert said(after_delay(RULE, UNMEASURED)) == (
        "480.0 s of sound waited for 300 s behind 2 instances, busy 100% of the time; 2 → 3."
    )


# -- down -----------------------------------------------------------------------------------------

QUIET = replace(CALM, instances=4, busy_share=0.3)


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (QUIET, 3),
        (replace(QUIET, busy_share=0.52), 3),
        (replace(QUIET, busy_share=0.53), None),
        # three instances have this done in half a second, a tenth of the goal
        (replace(QUIET, queued_s=15), 3),
        (replace(QUIET, queued_s=15.1), None),
        (replace(QUIET, queued_s=0.1, rate_per_instance=None), None),
        (replace(QUIET, rate_per_instance=None), 3),
        (replace(QUIET, starting=1), None),
        (replace(QUIET, instances=1, busy_share=0), None),
    ],
)
def test_one_fewer_where_they_would_do(load: PoolLoad, wanted: int | None) -> None:
    verdict = after_delay(RULE, load)
    assert (verdict.to_instances if verdict else None) == wanted


def test_quiet_takes_one_at_a_time_and_stops_at_the_least() -> None:
    rule = replace(RULE, min_instances=2)
    told = verdicts(rule, replace(QUIET, busy_share=0), 1000)
    assert [(v.from_instances, v.to_instances) for _, v in told] == [(4, 3), (3, 2)]
    first_s, second_s = (at_s for at_s, _ in told)
    assert first_s == 300
    assert second_s >= first_s + 300


def test_quiet_says_what_is_left() -> None:
    assert said(after_delay(RULE, QUIET)) == (
        "4 instances had little to do for 300 s: busy 30% of the time with 0.0 s of sound waiting;"
        " 3 would be busy 40%; 4 → 3."
    )


def test_an_operators_number_is_given_its_time() -> None:
    _, state = decide(RULE, QUIET, ScaleState(), 0)
    more = replace(QUIET, instances=6)
    verdict, state = decide(RULE, more, state, 299)
    assert verdict is None
    assert decide(RULE, more, state, 301)[0] is None
    assert decide(RULE, more, state, 599)[0] is not None


# -- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instances", "fits", "wanted", "reason"),
    [
        (1, 8, 3, "1 instance is fewer than the least of 3; 1 → 3."),
        (0, 8, 3, "0 instances are fewer than the least of 3; 0 → 3."),
        (1, 2, 2, "1 instance is fewer than the least of 3, and memory allows 2; 1 → 2."),
        (9, 9, 5, "9 instances are more than the most of 5; 9 → 5."),
    ],
)
def test_outside_the_bounds_nothing_is_waited_for(
    instances: int, fits: int, wanted: int, reason: str
) -> None:
    rule = replace(RULE, min_instances=3, max_instances=5)
    load = replace(CALM, instances=instances, fits=fits)
    verdict, _ = decide(rule, load, ScaleState(), 0)
    assert verdict == ScaleVerdict(instances, wanted, reason)


def test_a_correction_that_cannot_be_made_is_asked_for_again_later() -> None:
    rule = replace(RULE, min_instances=3)
    state = ScaleState()
    asked_s = []
    for tick in range(15):
        verdict, state = decide(rule, CALM, state, tick * TICK_S)
        if verdict:
            asked_s.append(tick * TICK_S)
    assert asked_s == [0, 30, 60]


def test_running_instances_are_not_ended_for_an_estimate_of_memory() -> None:
    assert after_delay(RULE, replace(CALM, instances=4, busy_share=0.6, fits=2)) is None


def test_a_pool_may_rest_at_none_and_wake_up() -> None:
    rule = replace(RULE, min_instances=0)
    idle = replace(CALM, instances=1, busy_share=0)
    down = after_delay(rule, idle)
    assert said(down).endswith("0.0 s of sound waiting; 1 → 0.")
    for rate in (10, None):
        asleep = PoolLoad(0, 0, queued_s=30, rate_per_instance=rate, busy_share=0, fits=4)
        up = after_delay(rule, replace(asleep, device_load=1))
        assert said(up) == "30.0 s of sound waited for 300 s and no instance is there; 0 → 1."
