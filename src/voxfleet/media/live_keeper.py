"""Keeps the live process running: starts it, ends it when it hangs, replaces it when it dies.

Knows what the process is owed and owes, not what a stream is for.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol

from voxfleet.media.live_settings import LiveHostSettings, to_json
from voxfleet.media.media_child import START_FAILED_STATUS, restart_delay_s
from voxfleet.wire.child_process import ChildProcess, describe_exit, one_numeric_thread
from voxfleet.wire.messages import Failure

_log = logging.getLogger(__name__)
_STOP_GRACE_S = 1.0
_LAST_WORDS_LIMIT_S = 2.0
#: so many failed starts in a row are no accident
_MAX_FAILED_STARTS = 3
_ENVIRONMENT = {**one_numeric_thread(), "PYTHONFAULTHANDLER": "1", "MALLOC_ARENA_MAX": "2"}


@dataclass(eq=False)
class LiveChild:
    """`name` is never used again, so that late messages of a dead process are recognised."""

    name: str
    process: ChildProcess
    ready: bool = False
    #: it has heard sound
    useful: bool = False
    hung: bool = False
    silent_s: float = 0.0
    start_failure: Failure | None = None
    #: `start_failure` has arrived
    explained: asyncio.Event = field(default_factory=asyncio.Event)


class LiveOwner(Protocol):
    """Whoever the process works for."""

    @property
    def owes_a_word(self) -> bool:
        """The process has something to answer."""
        ...

    def lost(self) -> None:
        """The process has died; another is being started."""
        ...

    def hopeless(self, reason: str) -> None:
        """No process gets ready; it is tried on, more and more rarely."""
        ...


class LiveKeeper:
    def __init__(
        self, settings: LiveHostSettings, address: str, log_path: Path | None, owner: LiveOwner
    ) -> None:
        self._settings = settings
        self._address = address
        self._log_path = log_path
        self._owner = owner
        self._stopping = False
        self._failed_starts = 0
        self.child: LiveChild | None = None
        #: why no process gets ready; empty while there is hope
        self.reason = ""

    def named(self, name: str) -> LiveChild | None:
        """The process of that name, unless it is dead."""
        return self.child if self.child is not None and self.child.name == name else None

    def welcome(self, child: LiveChild) -> None:
        child.ready = True
        self._failed_starts, self.reason = 0, ""

    async def keep(self) -> None:
        """Have one process running, for ever."""
        failures = 0
        for generation in count():
            if self._stopping:
                return
            useful = await self._live(f"live.{generation}")
            failures = 0 if useful else failures + 1
            await asyncio.sleep(restart_delay_s(failures))

    async def watch(self) -> None:
        """End a process that owes a word and says none.

        Silence is counted in ticks, so that a gateway that was itself held up blames nobody.
        """
        tick_s = min(1.0, self._settings.hang_limit_s / 4)
        while True:
            await asyncio.sleep(tick_s)
            if self.child is not None:
                self._look_at(self.child, tick_s)

    async def stop(self) -> None:
        self._stopping = True
        child = self.child
        if child is not None:
            await child.process.terminate(_STOP_GRACE_S)

    def end(self, child: LiveChild, why: str) -> None:
        """By force: it is replaced."""
        if not child.hung:
            _log.error("%s: %s, ended by force", child.name, why)
            child.hung = True
            child.process.kill()

    async def _live(self, name: str) -> bool:
        """One process from its start to its end; whether it was of use."""
        try:
            process = await ChildProcess.start(
                "voxfleet.media.live_process",
                (self._address, name, to_json(self._settings)),
                env=_ENVIRONMENT,
                log_path=self._log_path,
            )
        except (OSError, RuntimeError) as fault:
            # no memory, no descriptor, or (RuntimeError) no thread to wait for it in: later perhaps
            _log.error("%s: could not be started: %s", name, fault)
            self._unstarted(f"the process could not be started ({type(fault).__name__})")
            return False
        self.child = child = LiveChild(name, process)
        status = await process.wait()
        if status == START_FAILED_STATUS:
            await _heard(child.explained)
        self._bury(child, status)
        return child.useful

    def _bury(self, child: LiveChild, status: int) -> None:
        self.child = None
        if self._stopping:
            return
        how = "hung" if child.hung else describe_exit(status)
        _log.warning("%s: %s", child.name, how)
        self._owner.lost()
        if not child.ready:
            failure = child.start_failure
            self._unstarted(failure.message if failure else f"the process {how}; see the log")

    def _unstarted(self, why: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _MAX_FAILED_STARTS:
            self.reason = f"hearing live sound cannot start: {why}"
            self._owner.hopeless(self.reason)

    def _look_at(self, child: LiveChild, tick_s: float) -> None:
        owes = not child.ready or self._owner.owes_a_word
        child.silent_s = child.silent_s + tick_s if owes else 0.0
        settings = self._settings
        limit_s = settings.hang_limit_s if child.ready else settings.start_timeout_s
        if child.silent_s >= limit_s:
            self.end(child, f"nothing heard for {limit_s:g} s")


async def _heard(word: asyncio.Event) -> None:
    """What a process said last may still be on its way when its end is seen."""
    try:
        await asyncio.wait_for(word.wait(), _LAST_WORDS_LIMIT_S)
    except TimeoutError:
        _log.error("the live process ended without the reason it should have given")
