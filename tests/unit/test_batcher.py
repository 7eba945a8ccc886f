"""The batcher: who travels with the head, how full batches are, and what realtime allows."""

from __future__ import annotations

import math
import random
from itertools import combinations, count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.made_tickets import ticket
from voxfleet.core import padded_duration_s
from voxfleet.pool_contract import TimeModel
from voxfleet.scheduling.batcher import Length, Turn, budget_s, fill, realtime_cap_s, share_out
from voxfleet.scheduling.queue import SegmentQueue

RATIO = 2.0


def lengths(*durations_s: float) -> list[Length]:
    return sorted((length_s, -number) for number, length_s in enumerate(durations_s))


def chosen(head_s: float, others_s: list[float], budget_s: float) -> list[float]:
    line = lengths(head_s, *others_s)
    return sorted(length_s for length_s, _ in fill((head_s, 0), line, budget_s, RATIO))


@pytest.mark.parametrize(
    ("head_s", "others_s", "budget_s", "expected"),
    [
        pytest.param(5, [], 60, [5], id="alone"),
        pytest.param(30, [30], 10, [30], id="longer than the budget"),
        pytest.param(5, [5, 5, 5], 15, [5, 5, 5], id="up to the budget exactly"),
        pytest.param(10, [4.9, 5, 20, 20.1], 1000, [5, 10, 20], id="within the ratio"),
        pytest.param(4, [8], 15.9, [4], id="padding counts"),
        pytest.param(4, [8], 16, [4, 8], id="padding fits"),
        pytest.param(10, [11, 12, 13, 14, 15], 60, [10, 13, 14, 15], id="the longest that fit"),
        pytest.param(20, [19, 18, 17, 11], 60, [18, 19, 20], id="shorter ones"),
        pytest.param(10, [9, 9, 9, 9, 9, 18], 60, [9, 9, 9, 9, 9, 10], id="many before long"),
    ],
)
def test_companions(
    head_s: float, others_s: list[float], budget_s: float, expected: list[float]
) -> None:
    assert chosen(head_s, others_s, budget_s) == expected


def test_of_equally_long_ones_the_first_to_come_travel() -> None:
    line = lengths(*[5.0] * 6)
    assert sorted(fill((5.0, 0), line, 15, RATIO)) == [(5.0, -2), (5.0, -1), (5.0, 0)]


def shared(batch: list[Length], turns: list[Turn], **lines: list[Length]) -> list[Length]:
    return share_out(batch, batch[0], turns, {name: sorted(line) for name, line in lines.items()})


def test_places_are_given_to_clients_in_turn() -> None:
    many = [(10.0, -number) for number in range(6)]
    few = [(9.5, -10), (9.2, -11)]
    turns = [(0.0, 1, "many"), (0.0, 2, "few")]
    batch = shared(many[:5], turns, many=many, few=few)
    assert batch[0] == many[0]
    assert sorted(batch) == sorted([*many[:3], *few])


def test_who_has_had_more_gets_no_place_before_it_is_due() -> None:
    many = [(10.0, -number) for number in range(6)]
    few = [(10.0, -10), (10.0, -11)]
    turns = [(0.0, 1, "many"), (25.0, 2, "few")]
    assert sorted(shared(many[:4], turns, many=many, few=few)) == sorted([*many[:3], few[0]])


def test_a_place_is_not_given_to_what_would_be_padding() -> None:
    many = [(10.0, -number) for number in range(6)]
    turns = [(0.0, 1, "many"), (0.0, 2, "few")]
    for unlike in (8.9, 10.1):
        assert sorted(shared(many[:4], turns, many=many, few=[(unlike, -10)])) == sorted(many[:4])


def test_places_nobody_in_turn_can_use_stay_as_they_were() -> None:
    own = [(10.0, 0), (10.0, -1)]
    others = [(10.0, -2), (10.0, -3)]
    assert shared([*own, *others], [(0.0, 1, "own")], own=own)[0] == own[0]
    assert sorted(shared([*own, *others], [(0.0, 1, "own")], own=own)) == sorted([*own, *others])


def test_a_head_without_sound_travels() -> None:
    assert (0.0, 0) in fill((0.0, 0), lengths(0, 0, 5), 60, RATIO)


def most_sound(line: list[Length], head: Length, budget_s: float) -> float:
    """By trying everything."""
    others = [
        each for each in line if each != head and head[0] / RATIO <= each[0] <= head[0] * RATIO
    ]
    batches = (
        [head[0], *(each[0] for each in group)]
        for size in range(len(others) + 1)
        for group in combinations(others, size)
    )
    return max(sum(b) for b in batches if len(b) == 1 or len(b) * max(b) <= budget_s)


@given(
    st.lists(st.integers(1, 300).map(lambda tenths: tenths / 10), min_size=1, max_size=9),
    st.integers(1, 1200).map(lambda tenths: tenths / 10),
)
def test_no_other_choice_brings_more_sound(durations_s: list[float], budget_s: float) -> None:
    line = lengths(*durations_s)
    head = (durations_s[0], 0)
    batch = fill(head, line, budget_s, RATIO)
    assert head in batch
    assert len(set(batch)) == len(batch)
    assert set(batch) <= set(line)
    longest_s = max(length_s for length_s, _ in batch)
    assert len(batch) == 1 or len(batch) * longest_s <= budget_s
    assert sum(length_s for length_s, _ in batch) == pytest.approx(most_sound(line, head, budget_s))


@pytest.mark.parametrize("batch_size_s", [60, 120])
@pytest.mark.parametrize(("backlog", "clients"), [(100, 1), (1000, 1), (250, 4), (400, 40)])
def test_batches_are_full_and_little_is_padding(
    batch_size_s: float, backlog: int, clients: int
) -> None:
    """A steady backlog of 1 to 30 s: at least 0.9 of the budget used, 0.8 of that sound."""
    chance = random.Random(11)  # noqa: S311 the same every time
    numbers = count()
    queue = SegmentQueue()
    entered: dict[str, int] = {}
    padded_s, sound_s, batches, longest_wait = 0.0, 0.0, 600, 0
    for turn in range(batches):
        while len(queue) < backlog:
            name = str(next(numbers))
            entered[name] = turn
            queue.add(ticket(name, chance.uniform(1, 30), client=f"c{chance.randrange(clients)}"))
        batch = [each.segment for each in queue.take(batch_size_s)]
        padded_s += padded_duration_s(batch)
        sound_s += sum(each.duration_s for each in batch)
        longest_wait = max(longest_wait, *(turn - entered[each.id] for each in batch))
    assert padded_s >= 0.9 * batch_size_s * batches
    assert sound_s >= 0.8 * padded_s
    # each turn takes a head, and the next one in turn: nobody is left behind for good
    assert longest_wait <= 2 * backlog


PACE = TimeModel(fixed_s=0.05, per_padded_s=0.01)


@pytest.mark.parametrize(
    ("pace", "goal_s", "cap_s"),
    [
        (None, 0.5, math.inf),
        (PACE, 0.5, 20),
        (PACE, 0.1, 0),
        (PACE, 0.01, 0),
        (TimeModel(0.05, 0.0), 0.5, math.inf),
        (TimeModel(0.05, 0.0), 0.01, 0),
    ],
)
def test_a_batch_may_take_half_of_realtimes_goal(
    pace: TimeModel | None, goal_s: float, cap_s: float
) -> None:
    assert realtime_cap_s(pace, goal_s) == pytest.approx(cap_s)


@pytest.mark.parametrize(
    ("credit_s", "pace", "realtime_active", "expected_s"),
    [
        (120, PACE, False, 120),
        (120, PACE, True, 20),
        (10, PACE, True, 10),
        (120, None, True, 120),
    ],
)
def test_the_cap_counts_only_while_somebody_speaks(
    credit_s: float, pace: TimeModel | None, realtime_active: bool, expected_s: float
) -> None:
    assert budget_s(credit_s, pace, realtime_active, 0.5) == pytest.approx(expected_s)


def test_the_budget_holds_where_its_division_is_rounded_up() -> None:
    longest_s, budget_s = 15.1 / 11, 15.1
    assert 11 * longest_s > budget_s
    batch = chosen(1.3, [1.3] * 10 + [longest_s] * 10, budget_s)
    assert len(batch) * max(batch) <= budget_s
