"""One media process as the gateway sees it, and the decisions about such processes.

Knows no socket and no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from voxfleet.core import WorkClass
from voxfleet.media.media_file import MediaFile
from voxfleet.wire.child_process import ChildProcess
from voxfleet.wire.messages import Failure

#: how a process ends that has said why it cannot start
START_FAILED_STATUS = 3
_PRECEDENCE = tuple(WorkClass)
_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 10.0


@dataclass(eq=False)
class MediaChild:
    """`name` is never used again, so that late messages of a dead process are recognised."""

    name: str
    process: ChildProcess
    ready: bool = False
    #: it has ended at least one turn
    useful: bool = False
    hung: bool = False
    silent_s: float = 0.0
    start_failure: Failure | None = None
    #: `start_failure` has arrived
    explained: asyncio.Event = field(default_factory=asyncio.Event)
    files: dict[str, MediaFile] = field(default_factory=dict)

    @property
    def able(self) -> bool:
        """Files may be given to it."""
        return self.ready and not self.hung

    @property
    def owes_a_word(self) -> bool:
        """It has something to do, so it must be heard of."""
        return not self.ready or any(file.wants_work for file in self.files.values())

    def explain(self, failure: Failure) -> None:
        """It has said why it cannot start; it will end by itself."""
        self.start_failure = failure
        self.explained.set()

    def end_hung(self) -> None:
        self.hung = True
        self.process.kill()


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


def restart_delay_s(failures: int) -> float:
    """At once after useful work; longer and longer for processes that die without any."""
    if failures <= 1:
        return 0.0
    # the exponent is bounded too, as failures are not
    return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures - 2, 16))
