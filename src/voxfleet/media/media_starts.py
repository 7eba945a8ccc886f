"""Which media processes could not start, and whether any hope is left. Pure."""

from __future__ import annotations

#: so many failed starts in a row are no accident
_MAX_IN_A_ROW = 3


class Starts:
    """Of `slots` places, each with one process that is replaced when it ends."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._failed: set[int] = set()
        self._in_a_row = 0
        #: why the last one failed; empty when one has succeeded since
        self.reason = ""

    def fail(self, slot: int, reason: str) -> None:
        self._failed.add(slot)
        self._in_a_row += 1
        self.reason = f"decoding cannot start: {reason}"

    def succeed(self) -> None:
        self._failed.clear()
        self._in_a_row = 0
        self.reason = ""

    @property
    def all_failed(self) -> bool:
        """No place is left whose process might yet get ready at its first attempt."""
        return len(self._failed) >= self._slots

    @property
    def hopeless(self) -> bool:
        """Not to be waited for, as far as anyone can tell."""
        return self._in_a_row >= _MAX_IN_A_ROW
