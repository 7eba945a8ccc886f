"""Texts that wait: turns between calls, one engine a batch, and what deaths mean for whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voxfleet.fleet.text_queue import (
    MAX_BATCH_CHARS,
    MAX_BATCH_TEXTS,
    MOST_DEATHS,
    MOST_LOSSES,
    TextOrder,
    TextQueue,
)


def call(*texts: str, engine: str = "itn") -> list[TextOrder]:
    return [TextOrder(engine, text) for text in texts]


def texts(batch: tuple[TextOrder, ...]) -> list[str]:
    return [order.text for order in batch]


def test_nothing_waits_at_first() -> None:
    assert TextQueue().next_batch() == ()


def test_calls_take_turns() -> None:
    queue = TextQueue()
    queue.put(call("a1", "a2", "a3"))
    queue.put(call("b1"))
    assert texts(queue.next_batch()) == ["a1", "b1", "a2", "a3"]
    assert queue.waiting_chars == 0


def test_a_batch_is_for_one_engine_and_the_other_comes_next() -> None:
    queue = TextQueue()
    queue.put(call("a1"))
    queue.put(call("p1", engine="ct-punc"))
    queue.put(call("b1"))
    assert texts(queue.next_batch()) == ["a1", "b1"]
    assert texts(queue.next_batch()) == ["p1"]


def test_a_batch_has_its_limits() -> None:
    queue = TextQueue()
    queue.put(call(*"x" * (MAX_BATCH_TEXTS + 1)))
    assert len(queue.next_batch()) == MAX_BATCH_TEXTS
    assert len(queue.next_batch()) == 1
    queue.put(call("x" * (MAX_BATCH_CHARS - 1), "yy", "z" * (2 * MAX_BATCH_CHARS)))
    sizes = [len(batch[0].text) for batch in (queue.next_batch(), queue.next_batch())]
    assert sizes == [MAX_BATCH_CHARS - 1, 2]
    assert len(queue.next_batch()) == 1


@given(st.lists(st.lists(st.tuples(st.sampled_from(["itn", "ct-punc"]), st.text()))))
def test_every_text_leaves_once_and_in_the_order_of_its_call(
    calls: list[list[tuple[str, str]]],
) -> None:
    queue = TextQueue()
    orders = [[TextOrder(engine, text) for engine, text in texts] for texts in calls]
    for one in orders:
        queue.put(one)
    left: list[TextOrder] = []
    while batch := queue.next_batch():
        assert len({order.engine for order in batch}) == 1
        left += batch
    assert queue.waiting_chars == 0
    for one in orders:
        assert [order for order in left if order in one] == one
    assert len(left) == sum(map(len, orders))


def test_who_was_there_at_a_death_goes_alone_from_then_on() -> None:
    queue = TextQueue()
    queue.put(call("bad", "good"))
    first = queue.next_batch()
    assert queue.lost(first, blamed=True) == []
    queue.put(call("new"))
    assert queue.waiting_chars == len("badgoodnew")
    assert [texts(queue.next_batch()) for _ in range(3)] == [["bad"], ["good"], ["new"]]


def test_a_text_that_kills_alone_is_given_up() -> None:
    queue = TextQueue()
    queue.put(call("bad"))
    for _ in range(MOST_DEATHS - 1):
        assert queue.lost(queue.next_batch(), blamed=True) == []
    batch = queue.next_batch()
    assert queue.lost(batch, blamed=True) == list(batch)
    assert queue.next_batch() == ()


def test_deaths_from_outside_blame_nobody_but_have_an_end() -> None:
    queue = TextQueue()
    queue.put(call("a", "b"))
    for _ in range(MOST_LOSSES - 1):
        batch = queue.next_batch()
        assert (texts(batch), queue.lost(batch, blamed=False)) == (["a", "b"], [])
    batch = queue.next_batch()
    assert queue.lost(batch, blamed=False) == list(batch)
    assert {order.deaths for order in batch} == {0}


def test_what_nobody_waits_for_leaves() -> None:
    queue = TextQueue()
    gone, kept = call("a", "b"), call("c")
    queue.put(gone)
    queue.put(kept)
    queue.discard(gone)
    assert queue.waiting_chars == 1
    assert queue.next_batch() == tuple(kept)
