"""The queue: who goes first, who travels together, and that nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from voxfleet.core import SAMPLE_RATE_HZ, SpooledSegment, WorkClass, padded_duration_s
from voxfleet.errors import RecognitionError, WorkerLostError
from voxfleet.scheduling.queue import MAX_LOSSES, SegmentQueue, Ticket, after_loss


def ticket(
    name: str,
    duration_s: float = 5.0,
    work_class: WorkClass = WorkClass.INTERACTIVE,
    losses: int = 0,
) -> Ticket:
    samples = int(duration_s * SAMPLE_RATE_HZ)
    return Ticket(SpooledSegment(name, Path(name), 0.0, samples), work_class, losses)


def filled(*tickets: Ticket) -> SegmentQueue:
    queue = SegmentQueue()
    for each in tickets:
        queue.add(each)
    return queue


def names(tickets: list[Ticket]) -> list[str]:
    return [each.segment.id for each in tickets]


def test_batch_is_filled_up_to_the_credit() -> None:
    queue = filled(*(ticket(name) for name in "abcd"))
    assert names(queue.take(15)) == ["a", "b", "c"]
    assert names(queue.take(15)) == ["d"]
    assert queue.take(15) == []


def test_padding_counts_against_the_credit() -> None:
    queue = filled(ticket("short", 4), ticket("long", 8))
    assert names(queue.take(15.9)) == ["short"]
    assert names(queue.take(16)) == ["long"]


def test_segments_of_unlike_length_do_not_travel_together() -> None:
    queue = filled(ticket("a", 10), ticket("b", 4), ticket("c", 20), ticket("d", 21))
    assert names(queue.take(1000)) == ["a", "c"]


def test_head_longer_than_the_credit_travels_alone() -> None:
    assert names(filled(ticket("a", 30), ticket("b", 30)).take(10)) == ["a"]


def test_classes_go_in_order_and_do_not_mix() -> None:
    queue = filled(
        ticket("batch", work_class=WorkClass.BATCH),
        ticket("asked", work_class=WorkClass.INTERACTIVE),
        ticket("live", work_class=WorkClass.REALTIME),
    )
    assert [names(queue.take(1000)) for _ in range(3)] == [["live"], ["asked"], ["batch"]]


def test_a_suspect_travels_alone() -> None:
    queue = filled(ticket("bad", losses=1), ticket("b"), ticket("c"))
    assert names(queue.take(1000)) == ["bad"]
    assert names(queue.take(1000)) == ["b", "c"]


def test_a_suspect_never_joins_another_batch() -> None:
    assert names(filled(ticket("a"), ticket("bad", losses=1), ticket("c")).take(1000)) == ["a", "c"]


def test_what_comes_back_goes_first() -> None:
    queue = filled(ticket("later"))
    queue.add_first([ticket("again", losses=1)])
    assert names(queue.take(1000)) == ["again"]


def test_a_cancelled_segment_never_leaves() -> None:
    queue = filled(ticket("a"), ticket("b"))
    queue.cancel("a")
    queue.cancel("a")
    assert names(queue.take(1000)) == ["b"]


@given(
    st.lists(
        st.tuples(st.floats(0.1, 30), st.sampled_from(WorkClass), st.integers(0, 2)), max_size=30
    ),
    st.floats(0.1, 200),
)
def test_everything_leaves_exactly_once(
    segments: list[tuple[float, WorkClass, int]], credit_s: float
) -> None:
    queue = SegmentQueue()
    for number, (duration_s, work_class, losses) in enumerate(segments):
        queue.add(ticket(str(number), duration_s, work_class, losses))
    seen: list[str] = []
    while batch := queue.take(credit_s):
        padded_s = padded_duration_s([each.segment for each in batch])
        assert len(batch) == 1 or padded_s <= credit_s
        seen += names(batch)
    assert sorted(seen) == sorted(str(number) for number in range(len(segments)))
    assert queue.waiting_s == 0


LOSS = WorkerLostError("worker w1 died")


def test_after_one_death_in_company_a_segment_is_tried_alone() -> None:
    again = after_loss(ticket("a"), "w1", alone=False, loss=LOSS)
    assert isinstance(again, Ticket)
    assert (again.suspect, again.solo_losses, again.avoid) == (True, 0, frozenset({"w1"}))


def test_two_deaths_alone_are_the_segments_own_fault() -> None:
    again = after_loss(ticket("a"), "w1", alone=True, loss=LOSS)
    assert isinstance(again, Ticket)
    verdict = after_loss(again, "w2", alone=True, loss=LOSS)
    assert isinstance(verdict, RecognitionError)


def test_deaths_in_company_end_as_the_servers_fault() -> None:
    state: object = ticket("a")
    for _ in range(MAX_LOSSES):
        assert isinstance(state, Ticket)
        state = after_loss(state, "w1", alone=False, loss=LOSS)
    assert state is LOSS


def test_losses_that_prove_nothing_against_the_sound_end_as_the_servers_fault() -> None:
    guessed = WorkerLostError("worker w1 hung", blames_work=False)
    state: object = ticket("a")
    for _ in range(MAX_LOSSES):
        assert isinstance(state, Ticket)
        assert state.solo_losses == 0
        state = after_loss(state, "w1", alone=True, loss=guessed)
    assert state is guessed
