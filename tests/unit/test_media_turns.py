"""Whose turn it is in a media process."""

from hypothesis import given
from hypothesis import strategies as st

from voxfleet.core import WorkClass
from voxfleet.media.media_turns import GUARANTEED_AFTER, OpenTurn, Turns, next_file

REALTIME, INTERACTIVE, BATCH = WorkClass.REALTIME, WorkClass.INTERACTIVE, WorkClass.BATCH


def turns_of(*files: tuple[str, WorkClass], room: int = 8) -> Turns:
    turns = Turns()
    for name, work_class in files:
        turns.add(name, work_class, room)
    return turns


def taken(turns: Turns, count: int) -> list[str | None]:
    return [turns.take() for _ in range(count)]


def test_files_of_one_class_alternate() -> None:
    turns = turns_of(("a", INTERACTIVE), ("b", INTERACTIVE), ("c", INTERACTIVE))
    assert taken(turns, 6) == ["a", "b", "c", "a", "b", "c"]


def test_a_new_file_waits_for_one_round_at_most() -> None:
    turns = turns_of(("a", BATCH), ("b", BATCH))
    taken(turns, 5)
    turns.add("new", BATCH, 8)
    assert "new" in taken(turns, 3)


def test_a_higher_class_goes_first_whenever_it_came() -> None:
    turns = turns_of(("slow", BATCH), ("short", INTERACTIVE), ("live", REALTIME))
    assert taken(turns, 2) == ["live", "live"]
    turns.remove("live")
    assert taken(turns, 2) == ["short", "short"]


def test_batch_has_its_guaranteed_share() -> None:
    turns = turns_of(("slow", BATCH), ("short", INTERACTIVE))
    order = taken(turns, 10 * (GUARANTEED_AFTER + 1))
    assert order.count("slow") == 10
    assert order[0] == "short"


def test_both_lower_classes_have_a_share() -> None:
    turns = turns_of(("slow", BATCH), ("short", INTERACTIVE), ("live", REALTIME))
    order = taken(turns, 200)
    assert order.count("slow") >= 18
    assert order.count("short") >= 18
    assert order.count("live") >= 150


def test_a_file_whose_window_is_full_is_paused_until_a_segment_is_taken() -> None:
    turns = turns_of(("a", INTERACTIVE), ("b", BATCH))
    turns.change_room("a", -8)
    assert taken(turns, 2) == ["b", "b"]
    turns.change_room("a", 1)
    assert turns.take() == "a"


def test_nothing_to_do_is_said() -> None:
    turns = turns_of(("a", INTERACTIVE))
    assert not turns.idle
    turns.change_room("a", -8)
    assert turns.take() is None
    turns.remove("a")
    assert "a" not in turns


def test_a_process_is_idle_when_all_its_files_are_paused() -> None:
    assert Turns().idle
    assert turns_of(("a", INTERACTIVE), room=0).idle


def test_a_grant_for_a_file_that_is_gone_changes_nothing() -> None:
    turns = turns_of(("a", INTERACTIVE))
    turns.change_room("gone", 1)
    assert "gone" not in turns


@given(
    st.lists(
        st.builds(
            OpenTurn,
            st.uuids().map(str),
            st.sampled_from(WorkClass),
            st.integers(-1, 2),
            st.integers(0, 9),
        ),
        max_size=8,
    )
)
def test_the_choice_is_never_a_paused_file_and_none_only_without_any(
    files: list[OpenTurn],
) -> None:
    chosen = next_file(files)
    able = [file for file in files if file.room > 0]
    assert (chosen in able) if able else (chosen is None)
    if chosen is not None:
        same = [file for file in able if file.work_class is chosen.work_class]
        assert chosen.last_worked == min(file.last_worked for file in same)


@given(st.lists(st.sampled_from(WorkClass), min_size=1, max_size=6))
def test_no_file_starves(classes: list[WorkClass]) -> None:
    turns = turns_of(*((str(index), kind) for index, kind in enumerate(classes)))
    order = taken(turns, 3 * (GUARANTEED_AFTER + 1) * len(classes))
    assert {str(index) for index in range(len(classes))} <= set(order)
