"""Keeps the media processes running: starts them, ends those that hang, replaces those that died.

Knows what a process owes, not what a file is for; `lost` is told of every death before the
replacement starts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

from voxfleet.media.media_child import MediaChild
from voxfleet.media.media_settings import MediaSettings, to_json
from voxfleet.media.turn_file import read_turn
from voxfleet.media.watched_child import (
    CHILD_ENVIRONMENT,
    STOP_GRACE_S,
    cap_log,
    restart_delay_s,
)
from voxfleet.wire.child_process import ChildProcess, describe_exit

_log = logging.getLogger(__name__)
_LONGEST_TICK_S = 1.0

#: the process, the id of the file it was working on, and how it ended in words
Lost = Callable[[MediaChild, str | None, str], None]
#: the slot whose process did not get ready, and why in words
Unstarted = Callable[[int, str], None]


class MediaSupervisor:
    def __init__(
        self,
        settings: MediaSettings,
        address: str,
        turn_dir: Path,
        log_path: Path | None,
        lost: Lost,
        unstarted: Unstarted,
    ) -> None:
        self._settings = settings
        self._address = address
        self._turn_dir = turn_dir
        self._log_path = log_path
        self._lost = lost
        self._unstarted = unstarted
        self._stopping = False
        self.children: dict[str, MediaChild] = {}

    async def keep(self, slot: int) -> None:
        """Have one process running, for ever; a dead one is replaced, its name never is."""
        failures = 0
        for generation in count():
            if self._stopping:
                return
            useful = await self._live(slot, f"media-{slot}.{generation}")
            failures = 0 if useful else failures + 1
            await asyncio.sleep(restart_delay_s(failures))

    async def _live(self, slot: int, name: str) -> bool:
        """One process from its start to its end; whether it was of use."""
        try:
            child = await self._launch(name)
        except (OSError, RuntimeError) as fault:
            # no memory, no descriptor, or (RuntimeError) no thread to wait for it in: later perhaps
            _log.error("%s: could not be started: %s", name, fault)
            reason = fault.strerror if isinstance(fault, OSError) else fault
            self._unstarted(slot, f"a media process could not be started ({reason})")
            return False
        status = await child.ended()
        self._bury(child, status)
        if not child.ready:
            self._unstarted(slot, _why_unready(child, status))
        return child.useful

    async def watch(self) -> None:
        """End the processes that owe a word and say none.

        Silence is counted in ticks, so that a gateway that was itself held up blames nobody.
        """
        tick_s = min(_LONGEST_TICK_S, self._settings.step_timeout_s / 4)
        while True:
            await asyncio.sleep(tick_s)
            for child in self.children.values():
                self._look_at(child, tick_s)
            cap_log(self._log_path)

    async def stop(self, ask: Callable[[MediaChild], Awaitable[object]]) -> None:
        """End every process: asked first, then told, then by force."""
        self._stopping = True
        await asyncio.gather(*(self._end(child, ask) for child in list(self.children.values())))

    async def _launch(self, name: str) -> MediaChild:
        arguments = (
            self._address,
            name,
            str(self._turn_path(name)),
            to_json(self._settings),
        )
        process = await ChildProcess.start(
            "voxfleet.media.media_process",
            arguments,
            env=CHILD_ENVIRONMENT,
            log_path=self._log_path,
        )
        child = MediaChild(name, process)
        self.children[name] = child
        return child

    def _turn_path(self, name: str) -> Path:
        return self._turn_dir / f"{name}.turn"

    def _look_at(self, child: MediaChild, tick_s: float) -> None:
        child.silent_s = child.silent_s + tick_s if child.owes_a_word else 0.0
        limit_s = self._settings.step_timeout_s if child.ready else self._settings.start_timeout_s
        if child.silent_s >= limit_s and not child.hung:
            _log.error("%s: nothing heard for %.0f s, ended by force", child.name, limit_s)
            child.end_hung()

    def _bury(self, child: MediaChild, status: int) -> None:
        if self.children.pop(child.name, None) is None:
            return
        in_work = self._take_turn(child)
        how = "hung" if child.hung else describe_exit(status)
        if not self._stopping:
            _log.warning("%s: %s while working on %s", child.name, how, in_work or "nothing")
        self._lost(child, in_work, how)

    def _take_turn(self, child: MediaChild) -> str | None:
        """The file it died on; nobody is blamed when that cannot be found out."""
        path = self._turn_path(child.name)
        in_work: str | None = None
        try:
            in_work = read_turn(path)
            path.unlink(missing_ok=True)
        except OSError as fault:
            # what is left there goes when the next server starts
            _log.error("%s: cannot read and remove its turn file: %s", child.name, fault)
        return in_work

    async def _end(self, child: MediaChild, ask: Callable[[MediaChild], Awaitable[object]]) -> None:
        if child.ready:
            await ask(child)
            try:
                await child.process.wait(STOP_GRACE_S)
            except TimeoutError:
                _log.info("%s: has not left by itself in %.0f s", child.name, STOP_GRACE_S)
        status = await child.process.terminate(STOP_GRACE_S)
        self._bury(child, status)


def _why_unready(child: MediaChild, status: int) -> str:
    if child.start_failure is not None:
        return child.start_failure.message
    how = "hung" if child.hung else describe_exit(status)
    return f"a media process {how}; the log says more"
