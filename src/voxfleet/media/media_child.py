"""One media process as the gateway sees it, and the decisions about such processes.

Knows no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from voxfleet.core import WorkClass
from voxfleet.media.media_file import MediaFile
from voxfleet.media.watched_child import WatchedChild

_PRECEDENCE = tuple(WorkClass)


@dataclass(eq=False)
class MediaChild(WatchedChild):
    """`useful` once it has ended a turn."""

    files: dict[str, MediaFile] = field(default_factory=dict)

    @property
    def able(self) -> bool:
        """Files may be given to it."""
        return self.ready and not self.hung

    @property
    def owes_a_word(self) -> bool:
        """It has something to do, so it must be heard of."""
        return not self.ready or any(file.wants_work for file in self.files.values())


def least_loaded(children: Iterable[MediaChild], work_class: WorkClass) -> MediaChild | None:
    """The ready process with the fewest files that would not give way to this class."""
    rank = _PRECEDENCE.index(work_class)

    def load(child: MediaChild) -> tuple[int, int]:
        ranks = [_PRECEDENCE.index(file.work_class) for file in child.files.values()]
        return sum(other <= rank for other in ranks), len(ranks)

    return min((child for child in children if child.able), key=load, default=None)


def death_fault(child: MediaChild, how: str, step_timeout_s: float) -> str:
    """What the file it worked on is charged with, for the message."""
    if child.hung:
        return f"one step of decoding took over {step_timeout_s:g} s"
    return f"decoding it killed its process ({how})"
