"""Lost batches: split until the killer is alone, and nobody else pays for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.made_tickets import names, ticket
from voxfleet.errors import PoisonError, VoxfleetError, WorkerLostError
from voxfleet.scheduling.retries import MAX_LOSSES, MAX_PART, Ticket, after_loss

LOSS = WorkerLostError("worker w1 died")
GUESSED = WorkerLostError("worker w1 hung", blames_work=False)


def batch(size: int) -> list[Ticket]:
    return [ticket(str(number)) for number in range(size)]


@pytest.mark.parametrize(
    ("size", "parts"),
    [(1, [1]), (2, [1, 1]), (3, [2, 1]), (8, [4, 4]), (9, [5, 4]), (16, [8, 8]), (17, [8, 8, 1])],
)
def test_a_lost_batch_comes_back_in_parts(size: int, parts: list[int]) -> None:
    tickets = batch(size)
    after = after_loss(tickets, "w1", LOSS)
    assert [len(group) for group in after.again] == parts
    assert names(each for group in after.again for each in group) == names(tickets)
    assert after.failed == ()


def test_a_ticket_remembers_its_losses_and_shuns_the_workers() -> None:
    ((first,),) = after_loss(batch(1), "w1", LOSS).again
    assert (first.suspect, first.losses, first.solo_losses) == (True, 1, 1)
    assert set(first.avoid) == {"w1"}
    ((second,),) = after_loss([first], "w2", GUESSED).again
    assert (second.losses, second.solo_losses) == (2, 1)
    assert set(second.avoid) == {"w1", "w2"}


def test_nobody_is_blamed_in_company() -> None:
    again = after_loss(batch(5), "w1", LOSS).again
    assert {each.solo_losses for group in again for each in group} == {0}


def test_two_deaths_alone_are_the_segments_own_fault() -> None:
    ((again,),) = after_loss(batch(1), "w1", LOSS).again
    after = after_loss([again], "w2", LOSS)
    assert after.again == ()
    ((failed, fault),) = after.failed
    assert isinstance(fault, PoisonError)
    assert fault.message == (
        "the sound at 0.0 s ended the model's process 2 times; leave that part out"
    )
    assert failed.segment is again.segment


def test_losses_that_prove_nothing_against_the_sound_end_as_the_servers_fault() -> None:
    (state,) = batch(1)
    for _ in range(MAX_LOSSES - 1):
        ((state,),) = after_loss([state], "w1", GUESSED).again
        assert state.solo_losses == 0
    ((_, fault),) = after_loss([state], "w1", GUESSED).failed
    assert fault is GUESSED


def test_who_has_lost_too_often_does_not_take_the_others_along() -> None:
    worn = Ticket(ticket("worn").segment, ticket("worn").work_class, losses=MAX_LOSSES - 1)
    after = after_loss([worn, ticket("fresh")], "w1", LOSS)
    assert [(each.segment.id, fault) for each, fault in after.failed] == [("worn", LOSS)]
    assert [names(group) for group in after.again] == [["fresh"]]


def ends(tickets: tuple[Ticket, ...], killers: set[str]) -> dict[str, VoxfleetError | None]:
    """Run the batch and whatever comes of it; each killer kills whoever holds it."""
    if not killers & set(names(tickets)):
        return dict.fromkeys(names(tickets))
    after = after_loss(tickets, "w", LOSS)
    found: dict[str, VoxfleetError | None] = {}
    for each, fault in after.failed:
        found[each.segment.id] = fault
    for group in after.again:
        found |= ends(group, killers)
    return found


@pytest.mark.parametrize("size", [*range(1, 41), 63, 64, 65, 127, 128, 129, 255, 256, 257, 300])
def test_a_killer_is_found_at_any_place_and_nobody_else_fails(size: int) -> None:
    tickets = tuple(batch(size))
    for place in range(size):
        found = ends(tickets, {str(place)})
        assert len(found) == size
        assert isinstance(found.pop(str(place)), PoisonError)
        assert not any(found.values())


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_any_number_of_killers_is_found(case: tuple[int, set[int]]) -> None:
    size, places = case
    killers = {str(place) for place in places}
    found = ends(tuple(batch(size)), killers)
    assert len(found) == size
    assert {name for name, fault in found.items() if isinstance(fault, PoisonError)} == killers
    assert {name for name, fault in found.items() if fault} == killers


def test_parts_are_as_large_as_the_tries_allow() -> None:
    """One run in the batch, one for each halving of a part, and those alone."""
    assert 1 + (MAX_PART.bit_length() - 1) + 2 == MAX_LOSSES
