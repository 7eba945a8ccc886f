"""A child process says every second that it lives, and how much it has done, whatever it is doing.

From a thread of its own: a process that is stopped, or whose interpreter is held by one endless
call, falls silent, and that is meant. Knows no kind of work.
"""

from __future__ import annotations

import threading

from voxfleet.wire.channel import BeatDial
from voxfleet.wire.messages import Heartbeat

#: how often a process says that it lives
BEAT_EVERY_S = 1.0
#: a beat never waits for anybody, so its thread ends at once unless the interpreter is held
_LAST_BEAT_S = 1.0


class Progress:
    """Counts finished pieces of work; any thread may count one."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        return self._count

    def tick(self) -> None:
        """One more piece is done."""
        with self._lock:
            self._count += 1


class Heart:
    """Beats from `start` to `stop`, the first time at once."""

    def __init__(
        self, address: str, name: str, progress: Progress, *, every_s: float = BEAT_EVERY_S
    ) -> None:
        self._address = address
        self._name = name
        self._progress = progress
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(_LAST_BEAT_S)

    def _beat(self) -> None:
        # made here, as a socket belongs to the thread that made it
        dial = BeatDial(self._address, self._name)
        try:
            while True:
                dial.send(Heartbeat(self._progress.count))
                if self._stopped.wait(self._every_s):
                    return
        finally:
            dial.close()
