"""Quarantine: what is kept away, for how long, and how much of it is remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.made_tickets import ticket
from voxfleet.core import RecognitionOptions, SpooledSegment
from voxfleet.scheduling.quarantine import Quarantine, quarantine_key


def segment(digest: str = "d1", **options: object) -> SpooledSegment:
    chosen = replace(RecognitionOptions(), **options)  # type: ignore[arg-type]
    return replace(ticket("a").segment, digest=digest, options=chosen)


def test_a_key_is_held_for_a_while() -> None:
    quarantine = Quarantine(keep_s=60)
    assert not quarantine.holds("bad", 100)
    quarantine.add("bad", 100)
    assert quarantine.holds("bad", 159)
    assert not quarantine.holds("good", 159)
    assert not quarantine.holds("bad", 160)


def test_a_key_that_offends_again_is_held_for_longer() -> None:
    quarantine = Quarantine(keep_s=60)
    quarantine.add("bad", 100)
    quarantine.add("bad", 150)
    assert quarantine.holds("bad", 200)


def test_the_oldest_is_forgotten_first() -> None:
    quarantine = Quarantine(most=2)
    for now_s, key in enumerate(["a", "b", "a", "c"]):
        quarantine.add(key, now_s)
    assert [quarantine.holds(key, 4) for key in "abc"] == [True, False, True]
    assert len(quarantine) == 2


def test_what_has_served_its_time_takes_no_place() -> None:
    quarantine = Quarantine(keep_s=10)
    for now_s in range(100):
        quarantine.add(str(now_s), now_s)
    assert len(quarantine) == 10


def test_nothing_is_kept_where_nothing_may_be() -> None:
    for quarantine in (Quarantine(keep_s=0), Quarantine(most=0)):
        quarantine.add("bad", 1)
        assert not quarantine.holds("bad", 1)
        assert len(quarantine) == 0


def test_sound_without_a_digest_is_nobodys() -> None:
    assert quarantine_key(segment(digest="")) == ""
    quarantine = Quarantine()
    quarantine.add("", 0)
    assert not quarantine.holds("", 0)


def test_equal_sound_with_equal_options_is_the_same() -> None:
    there = replace(segment(language="en"), id="other", start_s=7.0)
    assert quarantine_key(there) == quarantine_key(segment(language="en"))
    # the same in another process and on another day
    assert quarantine_key(segment()) == "d1-b7f343d070bfc0ca"


@pytest.mark.parametrize(
    "other",
    [
        segment(digest="d2"),
        segment(language="zh"),
        segment(hotwords=("a", "b")),
        segment(hotwords=("a b",)),
        segment(hotwords=("a",)),
    ],
)
def test_other_sound_and_other_options_are_something_else(other: SpooledSegment) -> None:
    assert quarantine_key(other) != quarantine_key(segment(hotwords=("b", "a")))
    assert quarantine_key(other) != quarantine_key(segment())
