"""The sums behind the progress bars."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxfleet.cli_progress import Totals, clock_text

A, B, C = Path("a"), Path("b"), Path("c")


def test_nothing_is_known_before_the_first_file_is_open() -> None:
    assert Totals({A: 100, B: 100}).all_s is None


def test_unknown_lengths_are_guessed_from_bytes() -> None:
    totals = Totals({A: 100, B: 300, C: 0}, lengths_s={A: 10.0})
    assert totals.all_s == 40


def test_done_is_summed_over_files() -> None:
    totals = Totals({A: 1, B: 1}, lengths_s={A: 10, B: 20}, done_s={A: 10, B: 5})
    assert (totals.all_done_s, totals.all_s) == (15, 30)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00"), (59.9, "00:59"), (61, "01:01"), (36_061, "10:01:01")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
