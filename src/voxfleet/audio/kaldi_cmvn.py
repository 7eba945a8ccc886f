"""Mean and variance normalisation as Kaldi's nnet text files hold it. Knows no model."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.errors import StartError

#: the files seen have 11 kB; more is something else
_MAX_BYTES = 1 << 20
#: beyond this a number is no mean of a logarithm, and float32 would overflow
_LARGEST = 1e6


def read_cmvn(path: Path, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shift and scale of `width` numbers each: normalised = (features + shift) * scale."""
    lines = _lines(path)
    rows = [_numbers(lines, tag) for tag in ("<AddShift>", "<Rescale>")]
    if any(len(row) != width for row in rows):
        found = " and ".join(str(len(row)) for row in rows)
        raise StartError(
            f"{path} does not hold <AddShift> and <Rescale> of {width} finite numbers each "
            f"(found {found}): fetch the file again"
        )
    return rows[0], rows[1]


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as fault:
        raise StartError(
            f"{path} cannot be read ({fault.strerror}): correct its permissions"
        ) from fault
    if len(content) > _MAX_BYTES:
        raise StartError(
            f"{path} does not hold normalisation alone, it is over 1 MB: fetch the file again"
        )
    return content.decode("ascii", errors="replace").splitlines()


def _numbers(lines: list[str], tag: str) -> NDArray[np.float32]:
    for head, values in itertools.pairwise(lines):
        if head.startswith(tag) and "[" in values and "]" in values:
            inside = values[values.index("[") + 1 :]
            return _parse(inside[: inside.index("]")].split() if "]" in inside else [])
    return np.empty(0, np.float32)


def _parse(words: list[str]) -> NDArray[np.float32]:
    try:
        numbers = np.array([float(word) for word in words], np.float64)
    except ValueError:
        return np.empty(0, np.float32)
    sound = np.isfinite(numbers) & (np.abs(numbers) <= _LARGEST)
    return numbers.astype(np.float32) if sound.all() else np.empty(0, np.float32)
