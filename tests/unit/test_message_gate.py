"""Who is let in with a large message, and in which order."""

from __future__ import annotations

from voxfleet.gateway.message_gate import MessageGate


class Guest:
    def __init__(self) -> None:
        self.let = 0

    def let_in(self) -> None:
        self.let += 1


def test_only_so_many_are_inside_and_the_others_come_in_their_order() -> None:
    gate = MessageGate(2)
    first, second, third, fourth = (Guest() for _ in range(4))
    assert gate.enter(first)
    assert gate.enter(second)
    assert not gate.enter(third)
    assert not gate.enter(fourth)
    assert not gate.enter(third)
    gate.leave(second)
    assert (third.let, fourth.let) == (1, 0)
    assert gate.enter(third)
    gate.leave(first)
    assert (third.let, fourth.let) == (1, 1)


def test_who_leaves_the_line_is_not_let_in() -> None:
    gate = MessageGate(1)
    inside, gone, patient = (Guest() for _ in range(3))
    gate.enter(inside)
    gate.enter(gone)
    gate.enter(patient)
    gate.leave(gone)
    gate.leave(inside)
    assert (gone.let, patient.let) == (0, 1)


def test_who_was_never_there_frees_no_place() -> None:
    gate = MessageGate(1)
    gate.leave(Guest())
    assert gate.enter(Guest())
    assert not gate.enter(Guest())
