"""Which words of a growing utterance can be told, so that none has to be taken back. Pure.

Speech that goes on is read again and again; what two readings in a row agree on is told. Knows no
sound and no session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from voxfleet.transcribe.stitch import UNSPACED_LETTERS, wants_space

#: what readings are compared by: a letter of a script without spaces, or all up to a space
_UNIT = re.compile(rf"[{UNSPACED_LETTERS}]|[^\s{UNSPACED_LETTERS}]+")


@dataclass(slots=True)
class Agreement:
    """One piece of speech. What is told of it only ever grows."""

    told: str = ""
    #: of it and of what may be told now
    _sure: str = ""
    _last: str | None = None

    def hear(self, reading: str) -> None:
        """The next reading of the piece, which reaches further than the last one."""
        agreed = agreed_start(self._last or "", reading)
        self._sure = agreed if agreed.startswith(self.told) else self.told
        self._last = reading

    def take(self) -> str:
        """What can be told now and was not."""
        new = self._sure[len(self.told) :]
        self.told = self._sure
        return new

    def begin_with(self, told: str) -> None:
        """The piece's first words have been told already."""
        self.told = told
        self._sure = self._sure if self._sure.startswith(told) else told

    def settle(self, reading: str) -> str:
        """The rest of the piece by its last reading."""
        rest = rest_after(self.told, reading)
        self.told = self._sure = self.told + rest
        return rest


@dataclass(slots=True)
class GrowingText:
    """The text of an utterance, told piece by piece, in order."""

    #: all that was told
    told: str = ""
    #: what was told before the current piece, with the space between them
    _before: str = ""
    _own: str = ""

    @property
    def authoritative(self) -> str:
        """What was told, but the last piece as its last reading has it."""
        return self._own

    def grow(self, piece: Agreement) -> str:
        """What can be told now of the current piece."""
        return self._tell(first=not piece.told, new=piece.take())

    def settle(self, piece: Agreement, reading: str, rest: Agreement | None = None) -> str:
        """The rest of the current piece; the one after it becomes the current one.

        Where a piece that was too long was cut, words may have been told that lie behind the cut:
        those are of the `rest`.
        """
        surplus = surplus_after(piece.told, reading) if rest else ""
        if rest and surplus:
            rest.begin_with(surplus)
            self._before = self.told.removesuffix(surplus)
            return ""
        new = self._tell(first=not piece.told, new=piece.settle(reading))
        self._own = self._before + reading if reading else self._before.rstrip()
        self._before = self.told
        return new

    def _tell(self, *, first: bool, new: str) -> str:
        if new and first and self._before and wants_space(self._before, new):
            self._before += " "
            new = " " + new
        self.told += new
        return new


def agreed_start(before: str, reading: str) -> str:
    """The start of `reading` that `before` has, too, in whole units and with its own spaces."""
    end = 0
    for old, new in zip(_UNIT.finditer(before), _UNIT.finditer(reading), strict=False):
        if old[0] != new[0]:
            break
        end = new.end()
    return reading[:end]


def rest_after(told: str, reading: str) -> str:
    """What `reading` has after what was told of it, also where it has that in other words."""
    if reading.startswith(told):
        return reading[len(told) :]
    old, new = _UNIT.findall(told), list(_UNIT.finditer(reading))
    count = _likeliest(_distances(old, [unit[0] for unit in new]), len(old))
    return reading[new[count - 1].end() :] if count else reading


def surplus_after(told: str, reading: str) -> str:
    """What was told beyond `reading`, if that is likelier than that `reading` goes on."""
    if reading.startswith(told):
        return ""
    old, new = list(_UNIT.finditer(told)), _UNIT.findall(reading)
    words = [unit[0] for unit in old]
    shorter = _distances(new, words)
    if min(_distances(words, new)) <= min(shorter):
        return ""
    count = _likeliest(shorter, len(new))
    return told[old[count - 1].end() :].lstrip() if count else told


def _distances(whole: list[str], units: list[str]) -> list[int]:
    """How many changes make `whole` of the first 0, 1, 2 … of `units`."""
    distances = list(range(len(units) + 1))
    for row, old in enumerate(whole, 1):
        diagonal, distances[0] = distances[0], row
        for column, new in enumerate(units, 1):
            changed = diagonal + (old != new)
            diagonal = distances[column]
            distances[column] = min(changed, diagonal + 1, distances[column - 1] + 1)
    return distances


def _likeliest(distances: list[int], length: int) -> int:
    """With the fewest changes; of equals the one nearest to `length`."""
    return min(range(len(distances)), key=lambda at: (distances[at], abs(at - length)))
