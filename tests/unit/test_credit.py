"""What a worker is sent at once: what is wanted, slow start, and less after memory ran out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.fleet.credit import LEAST_CREDIT_S, Credit, CreditRule
from voxfleet.pool_contract import TimeModel

#: 40 padded seconds a second
PACE = TimeModel(0.0, 0.025, learned=True)


def warm(rule: CreditRule, most_s: float = 600.0, pace: TimeModel = PACE) -> Credit:
    credit = Credit(rule)
    credit.begin(most_s)
    for _ in range(10):
        credit.good_batch(pace)
    return credit


@pytest.mark.parametrize(
    ("rule", "most_s", "pace", "wanted_s"),
    [
        (CreditRule(), 600.0, PACE, 120.0),
        (CreditRule(), 60.0, PACE, 60.0),
        (CreditRule(goal_s=30.0), 600.0, PACE, 600.0),
        # slower than real time: a segment of the greatest length still travels
        (CreditRule(), 600.0, TimeModel(0.0, 2.0), LEAST_CREDIT_S),
        (CreditRule(goal_s=1.0), 600.0, TimeModel(0.5, 0.005), 100.0),
        (CreditRule(batch_size_s=500.0), 60.0, PACE, 500.0),
        (CreditRule(batch_size_s=5.0), 600.0, PACE, 5.0),
    ],
)
def test_what_is_wanted(rule: CreditRule, most_s: float, pace: TimeModel, wanted_s: float) -> None:
    assert warm(rule, most_s, pace).now_s(pace) == pytest.approx(wanted_s)


def test_a_life_begins_small_and_doubles_with_every_good_batch() -> None:
    credit = Credit(CreditRule(batch_size_s=200.0))
    credit.begin(600.0)
    seen = []
    for _ in range(5):
        seen.append(credit.now_s(PACE))
        credit.good_batch(PACE)
    assert seen == [30.0, 60.0, 120.0, 200.0, 200.0]
    credit.begin(600.0)
    assert credit.now_s(PACE) == 30.0


def test_after_memory_ran_out_half_is_sent_and_it_grows_back_slowly() -> None:
    credit = warm(CreditRule(batch_size_s=100.0))
    credit.out_of_memory(80.0)
    assert credit.now_s(PACE) == 40.0
    for _ in range(9):
        credit.good_batch(PACE)
    assert credit.now_s(PACE) == 40.0
    credit.good_batch(PACE)
    assert credit.now_s(PACE) == pytest.approx(44.0)
    for _ in range(100):
        credit.good_batch(PACE)
    assert credit.now_s(PACE) == 100.0


def test_memory_that_runs_out_again_and_again_halves_each_time() -> None:
    credit = warm(CreditRule(batch_size_s=100.0))
    for _ in range(20):
        credit.out_of_memory(100.0)
    assert credit.now_s(PACE) == 1.0


def test_what_memory_held_is_remembered_by_the_next_life() -> None:
    credit = warm(CreditRule(batch_size_s=100.0))
    credit.out_of_memory(40.0)
    credit.begin(600.0)
    assert credit.now_s(PACE) == 20.0


@given(st.lists(st.one_of(st.none(), st.floats(0.1, 1000.0)), max_size=60))
def test_it_is_never_nothing_and_never_more_than_wanted(events: list[float | None]) -> None:
    credit = Credit(CreditRule(batch_size_s=300.0))
    credit.begin(600.0)
    for event in events:
        if event is None:
            credit.good_batch(PACE)
        else:
            credit.out_of_memory(event)
        assert 0 < credit.now_s(PACE) <= 300.0
