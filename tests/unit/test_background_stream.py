"""Logging that never waits: for a reader that reads, one that does not, and one that is gone."""

from __future__ import annotations

import io
import os
import threading

import pytest

from voxfleet.observe.background_stream import BackgroundStream

LIMIT_S = 10.0


def test_lines_come_in_their_order() -> None:
    written = io.StringIO()
    stream = BackgroundStream(written)
    for number in range(1000):
        stream.write(f"{number}\n")
    stream.flush()
    stream.close()
    assert written.getvalue() == "".join(f"{number}\n" for number in range(1000))


class StuckReader(io.StringIO):
    """Takes one line and then none until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck = threading.Event()
        self.reads_again = threading.Event()

    def write(self, text: str) -> int:
        self.stuck.set()
        assert self.reads_again.wait(LIMIT_S)
        return super().write(text)


def test_a_reader_that_does_not_read_costs_lines_and_no_time() -> None:
    reader = StuckReader()
    stream = BackgroundStream(reader, max_lines=3)
    stream.write("first\n")
    assert reader.stuck.wait(LIMIT_S)
    for number in range(10):
        stream.write(f"{number}\n")
    reader.reads_again.set()
    stream.close()
    first, told, *kept = reader.getvalue().splitlines()
    assert first == "first"
    assert told.startswith("7 lines were dropped")
    assert kept == ["0", "1", "2"]


def test_a_reader_that_is_gone_is_no_fault() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    pipe = os.fdopen(write_end, "w")
    stream = BackgroundStream(pipe)
    stream.write("to nobody\n")
    stream.write("nor this\n")
    stream.close()
    # what it could not write is tried once more
    with pytest.raises(BrokenPipeError):
        pipe.close()


def test_a_process_without_standard_error_logs_nowhere() -> None:
    stream = BackgroundStream(None, max_lines=1)
    for _ in range(3):
        stream.write("to nobody\n")
    stream.close(LIMIT_S)
    assert "log writer" not in [thread.name for thread in threading.enumerate()]
