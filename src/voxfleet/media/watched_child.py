"""A process that hears or decodes, as the gateway sees it, and what all such are started with.

Knows no socket and not what the process is for.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from voxfleet.wire.child_process import ChildProcess, one_numeric_thread
from voxfleet.wire.messages import Failure

_log = logging.getLogger(__name__)
#: how a process ends that has said why it cannot start
START_FAILED_STATUS = 3
STOP_GRACE_S = 1.0
CHILD_ENVIRONMENT = {
    **one_numeric_thread(),
    # a crash then names the place in the decoder
    "PYTHONFAULTHANDLER": "1",
    # by default glibc keeps freed memory for every thread, which counts against the limit
    "MALLOC_ARENA_MAX": "2",
}
_LAST_WORDS_LIMIT_S = 2.0
_MAX_LOG_BYTES = 10_000_000
_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 10.0


@dataclass(eq=False)
class WatchedChild:
    """`name` is never used again, so that late messages of a dead process are recognised."""

    name: str
    process: ChildProcess
    ready: bool = False
    #: it has done some of its work
    useful: bool = False
    hung: bool = False
    silent_s: float = 0.0
    start_failure: Failure | None = None
    #: `start_failure` has arrived
    explained: asyncio.Event = field(default_factory=asyncio.Event)

    def explain(self, failure: Failure) -> None:
        """It has said why it cannot start; it will end by itself."""
        self.start_failure = failure
        self.explained.set()

    def end_hung(self) -> None:
        self.hung = True
        self.process.kill()

    async def ended(self) -> int:
        """Its exit status, once what it said last has been heard, too."""
        status = await self.process.wait()
        if status == START_FAILED_STATUS:
            try:
                await asyncio.wait_for(self.explained.wait(), _LAST_WORDS_LIMIT_S)
            except TimeoutError:
                _log.error("%s: ended without the reason it should have given", self.name)
        return status


def restart_delay_s(failures: int) -> float:
    """At once after useful work; longer and longer for processes that die without any."""
    if failures <= 1:
        return 0.0
    # the exponent is bounded too, as failures are not
    return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures - 2, 16))


def cap_log(path: Path | None) -> None:
    """Begin the log anew when it is long: hostile sound must not fill the disk with it."""
    try:
        if path is not None and path.stat().st_size > _MAX_LOG_BYTES:
            # the processes append, so they go on at the new end
            os.truncate(path, 0)
    except OSError as fault:
        _log.debug("%s: cannot be shortened: %s", path, fault)
