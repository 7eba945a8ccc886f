"""`If-Match` and `If-None-Match` against the present version."""

from __future__ import annotations

import pytest

from voxfleet.errors import VersionError
from voxfleet.gateway.preconditions import Precondition, read_precondition, tag_of


def passes(precondition: Precondition, version: int | None) -> bool:
    try:
        precondition.check("list 'a'", version)
    except VersionError:
        return False
    return True


def test_a_refusal_tells_the_present_version() -> None:
    with pytest.raises(VersionError, match="list 'a' is at version 4"):
        read_precondition(['"3"'], []).check("list 'a'", 4)
    with pytest.raises(VersionError, match="list 'a' is not there"):
        read_precondition(["*"], []).check("list 'a'", None)


@pytest.mark.parametrize(
    ("values", "version", "passed"),
    [
        ([], None, True),
        ([], 3, True),
        (['"3"'], 3, True),
        (['W/"3"'], 3, True),
        (["3"], 3, True),
        (['"2", "3"'], 3, True),
        (['"2"', '"3"'], 3, True),
        (["*"], 3, True),
        (['"3"'], 4, False),
        (['"3"'], 33, False),
        (['"3"'], None, False),
        (["*"], None, False),
        ([""], 3, False),
        (['"'], 3, False),
        (['"3 '], 4, False),
    ],
)
def test_if_match(values: list[str], version: int | None, passed: bool) -> None:
    assert passes(read_precondition(values, []), version) is passed


@pytest.mark.parametrize(
    ("values", "version", "passed"),
    [
        (["*"], None, True),
        (["*"], 1, False),
        (['"3"'], 3, False),
        (['"3"'], 4, True),
        ([""], 3, True),
    ],
)
def test_if_none_match(values: list[str], version: int | None, passed: bool) -> None:
    precondition = read_precondition([], values)
    assert passes(precondition, version) is passed
    if version is not None:
        assert precondition.has_seen(version) is not passed


def test_both_have_to_hold() -> None:
    assert not passes(read_precondition(['"3"'], ["*"]), 3)


def test_a_reader_without_a_tag_has_seen_nothing() -> None:
    assert not Precondition().has_seen(1)
    assert read_precondition([], [tag_of(1)]).has_seen(1)
