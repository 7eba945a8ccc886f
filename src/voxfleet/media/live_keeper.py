"""Keeps the live process running: starts it, ends it when it hangs, replaces it when it dies.

Knows what the process is owed and owes, not what a stream is for.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from pathlib import Path
from typing import Protocol

from voxfleet.media.live_settings import LiveHostSettings, to_json
from voxfleet.media.watched_child import (
    CHILD_ENVIRONMENT,
    STOP_GRACE_S,
    WatchedChild,
    cap_log,
    restart_delay_s,
)
from voxfleet.wire.child_process import ChildProcess, describe_exit

_log = logging.getLogger(__name__)
#: so many failed starts in a row are no accident
_MAX_FAILED_STARTS = 3


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
        self.child: WatchedChild | None = None
        #: why no process gets ready; empty while there is hope
        self.reason = ""

    def named(self, name: str) -> WatchedChild | None:
        """The process of that name, unless it is dead."""
        return self.child if self.child is not None and self.child.name == name else None

    def welcome(self, child: WatchedChild) -> None:
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
            cap_log(self._log_path)

    async def stop(self) -> None:
        self._stopping = True
        child = self.child
        if child is not None:
            await child.process.terminate(STOP_GRACE_S)

    def end(self, child: WatchedChild, why: str) -> None:
        """By force: it is replaced."""
        if not child.hung:
            _log.error("%s: %s, ended by force", child.name, why)
            child.end_hung()

    async def _live(self, name: str) -> bool:
        """One process from its start to its end; whether it was of use."""
        try:
            process = await ChildProcess.start(
                "voxfleet.media.live_process",
                (self._address, name, to_json(self._settings)),
                env=CHILD_ENVIRONMENT,
                log_path=self._log_path,
            )
        except (OSError, RuntimeError) as fault:
            # no memory, no descriptor, or (RuntimeError) no thread to wait for it in: later perhaps
            _log.error("%s: could not be started: %s", name, fault)
            self._unstarted(f"the process could not be started ({type(fault).__name__})")
            return False
        self.child = child = WatchedChild(name, process)
        status = await child.ended()
        self._bury(child, status)
        return child.useful

    def _bury(self, child: WatchedChild, status: int) -> None:
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

    def _look_at(self, child: WatchedChild, tick_s: float) -> None:
        owes = not child.ready or self._owner.owes_a_word
        child.silent_s = child.silent_s + tick_s if owes else 0.0
        settings = self._settings
        limit_s = settings.hang_limit_s if child.ready else settings.start_timeout_s
        if child.silent_s >= limit_s:
            self.end(child, f"nothing heard for {limit_s:g} s")
