"""The queue: who goes first, who travels together, and what it says of itself."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.unit.made_tickets import filled, names, ticket
from voxfleet.core import WorkClass
from voxfleet.scheduling.queue import SegmentQueue

LIVE, ASKED, BATCH = WorkClass.REALTIME, WorkClass.INTERACTIVE, WorkClass.BATCH


def test_batch_is_filled_up_to_the_budget() -> None:
    queue = filled(*(ticket(name) for name in "abcd"))
    assert names(queue.take(15)) == ["a", "b", "c"]
    assert names(queue.take(15)) == ["d"]
    assert queue.take(15) == []
    assert queue.head() is None


def test_padding_counts_against_the_budget() -> None:
    queue = filled(ticket("short", 4), ticket("long", 8))
    assert names(queue.take(15.9)) == ["short"]
    assert names(queue.take(16)) == ["long"]


def test_segments_of_unlike_length_do_not_travel_together() -> None:
    queue = filled(ticket("a", 10), ticket("b", 4), ticket("c", 20), ticket("d", 21))
    assert names(queue.take(1000)) == ["a", "c"]


def test_the_length_ratio_is_a_setting() -> None:
    queue = SegmentQueue(length_ratio=3)
    for each in (ticket("a", 10), ticket("b", 4), ticket("c", 30), ticket("d", 31)):
        queue.add(each)
    assert names(queue.take(1000)) == ["a", "b", "c"]


def test_head_longer_than_the_budget_travels_alone() -> None:
    assert names(filled(ticket("a", 30), ticket("b", 30)).take(10)) == ["a"]


def test_classes_go_in_order_and_do_not_mix() -> None:
    queue = filled(
        ticket("live", work_class=LIVE),
        ticket("asked", work_class=ASKED),
        ticket("asked too", work_class=ASKED),
    )
    assert [names(queue.take(1000)) for _ in range(2)] == [["live"], ["asked", "asked too"]]


def test_batch_work_is_last_until_its_share_is_due() -> None:
    queue = filled(*(ticket(f"asked {n}", 30) for n in range(3)))
    queue.add(ticket("batch", 30, BATCH))
    taken = [names(queue.take(30)) for _ in range(4)]
    assert taken == [["asked 0"], ["batch"], ["asked 1"], ["asked 2"]]


def test_inside_a_client_the_earliest_deadline_goes_first() -> None:
    queue = filled(
        ticket("never", 30),
        ticket("late", 30, deadline_s=200),
        ticket("soon", 30, deadline_s=100),
        ticket("as soon", 30, deadline_s=100),
    )
    assert [names(queue.take(30))[0] for _ in range(4)] == ["soon", "as soon", "late", "never"]


def test_a_deadline_does_not_buy_another_clients_turn() -> None:
    queue = filled(*(ticket(f"a{n}", 30, client="a", deadline_s=n) for n in range(3)))
    queue.add(ticket("b", 30, client="b"))
    assert [names(queue.take(30))[0] for _ in range(4)] == ["a0", "b", "a1", "a2"]


def test_a_batch_is_shared_out_among_clients() -> None:
    queue = filled(*(ticket(f"a{n}", 10, client="a") for n in range(20)))
    for number in range(20):
        queue.add(ticket(f"b{number}", 10, client="b"))
    assert names(queue.take(60)) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_what_comes_back_goes_first_in_its_own_groups() -> None:
    queue = filled(ticket("live", work_class=LIVE))
    queue.put_back([[ticket("a", 30, BATCH), ticket("b", 1)], [], [ticket("c")]])
    queue.put_back([[ticket("d")]])
    assert names(queue.take(1)) == ["a", "b"]
    assert [names(queue.take(1000)) for _ in range(3)] == [["c"], ["d"], ["live"]]


def test_the_head_tells_whom_to_avoid() -> None:
    queue = filled(ticket("other"))
    queue.put_back([[replace(ticket("a"), losses=1, avoid=frozenset({"w1"}))]])
    head = queue.head()
    assert head is not None
    assert head.avoid == {"w1"}


def test_a_cancelled_segment_never_leaves() -> None:
    queue = filled(ticket("a"), ticket("b"))
    queue.put_back([[ticket("c"), ticket("d")], [ticket("e")]])
    for name in ("a", "a", "c", "e", "unknown"):
        queue.cancel(name)
    assert [names(queue.take(1000)) for _ in range(3)] == [["d"], ["b"], []]


def test_what_is_past_its_deadline_leaves_wherever_it_is() -> None:
    queue = filled(ticket("a", deadline_s=10), ticket("b", deadline_s=11), ticket("c"))
    queue.put_back([[ticket("d", deadline_s=9), ticket("e")]])
    assert queue.expire(8.9) == []
    assert names(queue.expire(10)) == ["d", "a"]
    assert queue.expire(10) == []
    assert [names(queue.take(1000)) for _ in range(2)] == [["e"], ["b", "c"]]


def test_a_segment_cannot_wait_twice() -> None:
    queue = filled(ticket("a"))
    with pytest.raises(ValueError, match="segment a waits already"):
        queue.add(ticket("a"))
    with pytest.raises(ValueError, match="segment a waits already"):
        queue.put_back([[ticket("a")]])
    assert names(queue.take_all()) == ["a"]


def test_what_waits_is_counted() -> None:
    queue = filled(ticket("a", 5), ticket("b", 7, LIVE), ticket("c", 2.5, BATCH))
    queue.put_back([[ticket("d", 1, BATCH)]])
    assert (len(queue), queue.waiting_s) == (4, 15.5)
    assert [queue.waiting_of(each) for each in (LIVE, ASKED, BATCH)] == [1, 1, 2]
    queue.take(1)
    queue.cancel("b")
    assert (len(queue), queue.waiting_s) == (2, 7.5)
    assert sorted(names(queue.take_all())) == ["a", "c"]
    assert (len(queue), queue.waiting_s, queue.head()) == (0, 0, None)
    assert [queue.waiting_of(each) for each in (LIVE, ASKED, BATCH)] == [0, 0, 0]


def test_seconds_do_not_drift() -> None:
    queue = SegmentQueue()
    for number in range(2000):
        queue.add(ticket(str(number), 0.1 + number / 7))
    while queue.take(100):
        pass
    assert queue.waiting_s == 0


def test_place_counts_who_goes_before() -> None:
    queue = filled(
        ticket("asked", 5),
        ticket("asked later", 5),
        ticket("other client", 5, client="b"),
        ticket("live", 5, LIVE),
        ticket("batch", 5, BATCH),
    )
    queue.put_back([[ticket("back 1"), ticket("back 2")], [ticket("back 3")]])
    order = ["back 1", "back 2", "back 3", "live", "asked", "other client", "asked later", "batch"]
    assert [queue.place(name) for name in order] == list(range(8))
    assert queue.place("unknown") is None


def test_place_of_batch_work_knows_its_share() -> None:
    queue = filled(*(ticket(str(number)) for number in range(100)))
    for number in range(3):
        queue.add(ticket(f"batch {number}", work_class=BATCH))
    assert [queue.place(f"batch {number}") for number in range(3)] == [9, 19, 29]


def test_place_among_many_clients_is_by_turns() -> None:
    queue = filled(*(ticket(f"big {n}", client="big") for n in range(100)))
    queue.add(ticket("small", client="small"))
    assert queue.place("small") == 1
    assert queue.place("big 99") == 100


def test_an_endless_deadline_is_no_deadline() -> None:
    assert filled(ticket("a", deadline_s=math.inf)).expire(1e18) == []


def test_what_batch_work_earned_goes_with_it() -> None:
    queue = filled(*(ticket(f"asked {n}", 30) for n in range(3)))
    queue.add(ticket("gone", 30, BATCH))
    assert names(queue.take(30)) == ["asked 0"]
    queue.cancel("gone")
    queue.add(ticket("new", 30, BATCH))
    assert names(queue.take(30)) == ["asked 1"]


def test_batch_work_earns_nothing_before_it_comes() -> None:
    queue = filled(*(ticket(f"asked {n}", 30) for n in range(3)))
    assert names(queue.take(30)) == ["asked 0"]
    queue.add(ticket("batch", 30, BATCH))
    assert names(queue.take(30)) == ["asked 1"]
