"""Who is charged with memory: the file in whose turn the process grew, and nobody else."""

from __future__ import annotations

import pytest

from voxfleet.media.file_memory import FileMemory

MB = 1024 * 1024


class Process:
    """Memory in use, and the most that is allowed at the moment."""

    def __init__(self) -> None:
        self.used = 100 * MB
        self.allowed: int | None = None

    @property
    def room_mb(self) -> int | None:
        return None if self.allowed is None else (self.allowed - self.used) // MB

    def allow(self, most_bytes: int | None) -> None:
        self.allowed = most_bytes


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def memory(process: Process) -> FileMemory:
    return FileMemory(30, lambda: process.used, process.allow)


def test_what_one_file_holds_takes_nothing_from_another(
    process: Process, memory: FileMemory
) -> None:
    with memory.turn("greedy"):
        process.used += 29 * MB
    with memory.turn("modest"):
        assert process.room_mb == 30
        process.used += 2 * MB
    with memory.turn("greedy"):
        assert process.room_mb == 1
    with memory.turn("modest"):
        assert process.room_mb == 28


def test_what_a_file_gives_back_it_may_take_again(process: Process, memory: FileMemory) -> None:
    with memory.turn("f"):
        process.used += 20 * MB
    with memory.turn("f"):
        process.used -= 15 * MB
    with memory.turn("f"):
        assert process.room_mb == 25


def test_memory_of_others_that_is_freed_in_a_turn_is_no_credit(
    process: Process, memory: FileMemory
) -> None:
    with memory.turn("f"):
        process.used -= 50 * MB
    with memory.turn("f"):
        assert process.room_mb == 30


def test_nothing_is_limited_between_turns_even_after_a_fault(
    process: Process, memory: FileMemory
) -> None:
    with pytest.raises(MemoryError), memory.turn("f"):
        raise MemoryError
    assert process.allowed is None
    memory.forget("f")
    with memory.turn("f"):
        assert process.room_mb == 30


def test_a_file_beyond_its_limit_gets_no_more(process: Process, memory: FileMemory) -> None:
    with memory.turn("f"):
        process.used += 40 * MB
    with memory.turn("f"):
        assert process.room_mb == 0
