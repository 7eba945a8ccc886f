"""How many large messages may be on their way at once: each may take a hundred times its place.

Pure: who waits is let in in the order of coming. Knows neither messages nor sockets.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Waits(Protocol):
    def let_in(self) -> None:
        """Its turn has come; called at most once for each `enter` that was answered False."""
        ...


class MessageGate:
    def __init__(self, places: int) -> None:
        self._free = places
        self._inside: set[Waits] = set()
        self._line: deque[Waits] = deque()

    def enter(self, who: Waits) -> bool:
        """Whether it may go on; else it waits in line, once."""
        if who in self._inside:
            return True
        if self._free:
            self._admit(who)
            return True
        if who not in self._line:
            self._line.append(who)
        return False

    def leave(self, who: Waits) -> None:
        """Of one inside, in the line, or neither."""
        if who in self._line:
            self._line.remove(who)
        if who not in self._inside:
            return
        self._inside.remove(who)
        self._free += 1
        if self._line:
            following = self._line.popleft()
            self._admit(following)
            following.let_in()

    def _admit(self, who: Waits) -> None:
        self._free -= 1
        self._inside.add(who)
