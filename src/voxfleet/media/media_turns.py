"""Which open file a media process works on next. Pure: knows no file, no sound and no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from voxfleet.core import WorkClass

_PRECEDENCE = tuple(WorkClass)
#: a class that had something to do and was passed over so often has the next turn
GUARANTEED_AFTER = 9


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """A file that is being decoded. `room` is how many segments may still be delivered."""

    file_id: str
    work_class: WorkClass
    room: int
    last_worked: int


def next_file(
    files: Sequence[OpenTurn], passed_over: Mapping[WorkClass, int] | None = None
) -> OpenTurn | None:
    """The file to work on, or None when every one is paused.

    By class, and inside a class the one that has waited longest; `passed_over` counts for each
    class the turns it did not get although it could have used them.
    """
    able = [file for file in files if file.room > 0]
    if not able:
        return None
    counts = passed_over or {}
    classes = sorted({file.work_class for file in able}, key=_PRECEDENCE.index)
    starving = [kind for kind in classes if counts.get(kind, 0) >= GUARANTEED_AFTER]
    chosen = max(starving, key=lambda kind: counts[kind], default=classes[0])
    return min(
        (file for file in able if file.work_class is chosen), key=lambda file: file.last_worked
    )


class Turns:
    """The open files of one process and whose turn it is."""

    def __init__(self) -> None:
        self._files: dict[str, OpenTurn] = {}
        self._passed_over: dict[WorkClass, int] = {}
        self._turn = 0

    def __contains__(self, file_id: str) -> bool:
        return file_id in self._files

    def add(self, file_id: str, work_class: WorkClass, room: int) -> None:
        """A new file stands at the end of its class."""
        self._turn += 1
        self._files[file_id] = OpenTurn(file_id, work_class, room, self._turn)

    def remove(self, file_id: str) -> None:
        self._files.pop(file_id, None)

    def room(self, file_id: str) -> int:
        return self._files[file_id].room

    def change_room(self, file_id: str, segments: int) -> None:
        """More room as segments are taken, less as they are delivered."""
        if file_id in self._files:
            file = self._files[file_id]
            self._files[file_id] = replace(file, room=file.room + segments)

    def take(self) -> str | None:
        """The file whose turn it is, which goes to the end of its class."""
        chosen = next_file(list(self._files.values()), self._passed_over)
        if chosen is None:
            return None
        self._count_passed_over(chosen.work_class)
        self._turn += 1
        self._files[chosen.file_id] = replace(chosen, last_worked=self._turn)
        return chosen.file_id

    def _count_passed_over(self, chosen: WorkClass) -> None:
        able = {file.work_class for file in self._files.values() if file.room > 0}
        for kind in able:
            self._passed_over[kind] = self._passed_over.get(kind, 0) + 1
        self._passed_over[chosen] = 0

    @property
    def idle(self) -> bool:
        """Nothing can be worked on until a message changes that."""
        return all(file.room <= 0 for file in self._files.values())
