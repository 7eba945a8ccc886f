"""The error tree: drawn completely, codes unique, whose fault agrees with the status."""

from __future__ import annotations

import re

import pytest

from voxfleet import errors
from voxfleet.errors import BY_CODE, Fault, VoxfleetError, rebuild

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, VoxfleetError)
]


def drawn() -> dict[str, tuple[str, str]]:
    """The tree in the module's docstring: class name to (status, fault)."""
    rows = re.findall(r"(\w+Error)\s+(\d{3})\s+(client|server)", errors.__doc__ or "")
    return {name: (status, fault) for name, status, fault in rows}


def test_drawing_is_the_tree() -> None:
    assert drawn() == {kind.__name__: (str(kind.status), kind.fault.value) for kind in KINDS}


def test_codes_are_unique_and_found_again() -> None:
    assert sorted(BY_CODE) == sorted({kind.code for kind in KINDS})
    assert set(BY_CODE.values()) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_status_says_whose_fault(kind: type[VoxfleetError]) -> None:
    assert (kind.fault is Fault.CLIENT) == (400 <= kind.status < 500)


@pytest.mark.parametrize("kind", KINDS)
def test_crosses_a_process(kind: type[VoxfleetError]) -> None:
    again = rebuild(kind.code, "a: b; c", "model")
    assert (type(again), again.message, again.param) == (kind, "a: b; c", "model")


def test_unknown_code_is_the_root() -> None:
    assert type(rebuild("from_the_future", "x")) is VoxfleetError
