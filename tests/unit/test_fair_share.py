"""Shares: of clients among each other, and of batch work beside all other work."""

from __future__ import annotations

from collections import defaultdict
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.made_tickets import ticket
from voxfleet.core import WorkClass, padded_duration_s
from voxfleet.scheduling.fair_share import FairShare, GuaranteedShare
from voxfleet.scheduling.queue import SegmentQueue

BUDGET_S = 60.0


class Steady:
    """A queue in which the clients named always have more; counts the sound each has had."""

    def __init__(self, **piece_s: float) -> None:
        self.queue = SegmentQueue()
        self.had_s: defaultdict[str, float] = defaultdict(float)
        self._numbers = count()
        for client, duration_s in piece_s.items():
            for _ in range(70):
                self.add(client, duration_s)
        self._piece_s = piece_s

    def add(self, client: str, duration_s: float) -> str:
        name = f"{client}-{next(self._numbers)}"
        self.queue.add(ticket(name, duration_s, client=client))
        return name

    def take(self) -> set[str]:
        """One batch; returns whose was in it."""
        batch = self.queue.take(BUDGET_S)
        for each in batch:
            self.had_s[each.client] += each.segment.duration_s
            if each.client in self._piece_s:
                self.add(each.client, self._piece_s[each.client])
        return {each.client for each in batch}


@pytest.mark.parametrize("lengths_s", [(10, 10), (3, 30), (1, 30), (29, 30)])
def test_two_clients_with_enough_get_the_same_seconds(lengths_s: tuple[float, float]) -> None:
    steady = Steady(a=lengths_s[0], b=lengths_s[1])
    for _ in range(100):
        steady.take()
        assert abs(steady.had_s["a"] - steady.had_s["b"]) <= BUDGET_S


def test_a_newcomer_has_no_claim_on_the_past() -> None:
    steady = Steady(a=10)
    for _ in range(100):
        steady.take()
    for _ in range(40):
        steady.add("new", 29)
    before_s = steady.had_s["a"]
    for _ in range(40):
        steady.take()
    assert steady.had_s["new"] == pytest.approx(steady.had_s["a"] - before_s, abs=BUDGET_S)


def test_time_spent_away_is_not_saved_up() -> None:
    steady = Steady(a=10)
    for _ in range(20):
        steady.add("b", 29)
    while steady.queue.waiting_s > 10 * 70:
        steady.take()
    for _ in range(100):
        assert steady.take() == {"a"}
    before = dict(steady.had_s)
    for _ in range(20):
        steady.add("b", 29)
    for _ in range(10):
        steady.take()
    had_s = {client: steady.had_s[client] - before[client] for client in "ab"}
    assert had_s["b"] == pytest.approx(had_s["a"], abs=BUDGET_S)


def test_coming_and_going_brings_no_more_than_staying() -> None:
    """One that asks again as soon as it is answered, among four that always have more."""
    steady = Steady(a=3, b=3, c=3, d=3)
    waits = False
    for _ in range(500):
        if not waits:
            steady.add("hasty", 29)
        waits = "hasty" not in steady.take()
    assert steady.had_s["hasty"] <= sum(steady.had_s.values()) / 5 + BUDGET_S


def test_an_endless_row_of_newcomers_does_not_keep_out_who_was_here() -> None:
    steady = Steady(a=29)
    for number in range(300):
        steady.add(f"new-{2 * number}", 10)
        steady.add(f"new-{2 * number + 1}", 1)
        steady.take()
    assert steady.had_s["a"] >= 0.1 * sum(steady.had_s.values())


def test_clients_who_left_are_forgotten() -> None:
    shares = FairShare()
    shares.arrive("stays")
    most = 0
    for number in range(5000):
        shares.arrive(f"c{number}")
        shares.serve(10.0, {shares.next_client: 10.0})
        shares.leave(f"c{number}")
        most = max(most, len(shares))
    assert most <= 10


def test_coming_and_going_without_service_leaves_nothing_behind() -> None:
    shares = FairShare()
    shares.arrive("stays")
    shares.arrive("b")
    shares.serve(5.0, {"b": 50.0})
    for _ in range(1000):
        shares.leave("b")
        shares.arrive("b")
    assert len(shares) == 2
    assert shares.next_client == "stays"


def test_who_was_served_too_much_is_still_behind_when_it_comes_back() -> None:
    shares = FairShare()
    for client in ("a", "b"):
        shares.arrive(client)
    shares.serve(5.0, {"b": 50.0})
    shares.leave("b")
    shares.serve(30.0, {"a": 30.0})
    shares.arrive("b")
    assert shares.next_client == "a"
    assert shares.ahead_of("b") == ["a"]


class Contended:
    """A queue in which batch work and the other classes named always wait."""

    def __init__(self, *others: WorkClass) -> None:
        self.queue = SegmentQueue()
        self._numbers = count()
        for work_class in (WorkClass.BATCH, *others):
            for _ in range(40):
                self.add(work_class)

    def add(self, work_class: WorkClass, duration_s: float = 10.0) -> None:
        self.queue.add(ticket(str(next(self._numbers)), duration_s, work_class))

    def take(self, budget_s: float = BUDGET_S) -> tuple[WorkClass, float]:
        batch = self.queue.take(budget_s)
        for each in batch:
            self.add(each.work_class)
        return batch[0].work_class, padded_duration_s([each.segment for each in batch])


@pytest.mark.parametrize(
    "others",
    [(WorkClass.INTERACTIVE,), (WorkClass.REALTIME,), (WorkClass.REALTIME, WorkClass.INTERACTIVE)],
)
def test_batch_work_gets_a_tenth_give_or_take_a_batch(others: tuple[WorkClass, ...]) -> None:
    contended = Contended(*others)
    served_s: defaultdict[WorkClass, float] = defaultdict(float)
    for _ in range(200):
        work_class, padded_s = contended.take()
        served_s[work_class] += padded_s
        total_s = sum(served_s.values())
        assert abs(served_s[WorkClass.BATCH] - 0.1 * total_s) <= BUDGET_S
    assert served_s[WorkClass.BATCH] > 0
    assert set(served_s) == {WorkClass.BATCH, others[0]}


def test_what_batch_work_did_alone_is_not_held_against_it() -> None:
    contended = Contended()
    for _ in range(50):
        contended.take()
    for _ in range(40):
        contended.add(WorkClass.INTERACTIVE)
    assert WorkClass.BATCH in {contended.take()[0] for _ in range(3)}


def test_batch_work_that_comes_in_drops_gets_no_more() -> None:
    """Each piece of it would be next at once, were what it had forgotten whenever none waits."""
    queue = SegmentQueue()
    numbers = count()
    served_s: defaultdict[WorkClass, float] = defaultdict(float)
    for _ in range(300):
        while queue.waiting_of(WorkClass.INTERACTIVE) < 10:
            queue.add(ticket(str(next(numbers)), 10, WorkClass.INTERACTIVE))
        if not queue.waiting_of(WorkClass.BATCH):
            queue.add(ticket(str(next(numbers)), 30, WorkClass.BATCH))
        batch = queue.take(BUDGET_S)
        served_s[batch[0].work_class] += padded_duration_s([each.segment for each in batch])
    share = served_s[WorkClass.BATCH] / sum(served_s.values())
    assert 0.08 <= share <= 0.11


@given(st.lists(st.floats(0.1, 120), max_size=200))
def test_the_credit_is_what_was_earned_less_what_was_paid(
    sizes_s: list[float],
) -> None:
    """Batches of any size: batch work is never more than the largest of them off its tenth."""
    share = GuaranteedShare()
    batch_s, total_s, largest_s = 0.0, 0.0, 0.0
    for padded_s in sizes_s:
        due = share.due
        (share.served if due else share.passed_over)(padded_s)
        batch_s += padded_s if due else 0.0
        total_s += padded_s
        largest_s = max(largest_s, padded_s)
        assert abs(batch_s - 0.1 * total_s) <= largest_s + 1e-6


def test_nothing_is_earned_while_no_batch_work_waits() -> None:
    share = GuaranteedShare()
    share.passed_over(1000)
    share.nobody_waits()
    assert not share.due
    share.served(10)
    share.nobody_waits()
    share.passed_over(90)
    assert not share.due
    share.passed_over(1)
    assert share.due
