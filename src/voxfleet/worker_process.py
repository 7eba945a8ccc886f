"""What every worker process does around its engines: starts, says so, answers, leaves in order.

`python -m MODULE ADDRESS NAME SETTINGS_JSON`. Knows no engine and no kind of work.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

from voxfleet.errors import DeviceFaultError, VoxfleetError
from voxfleet.wire.channel import Dial
from voxfleet.wire.child_process import die_with_parent
from voxfleet.wire.heartbeat import Heart, Progress
from voxfleet.wire.messages import Failure, FromChild, StartFailed, Stop, ToChild

#: the exit status that says: trying again will not help
START_FAILED_STATUS = 3
#: the exit status that says: the device is of no use any more to this process
DEVICE_FAULT_STATUS = 4
#: how soon a recorded signal is acted upon while there is no work
_IDLE_WAIT_S = 0.5
#: what has reached the socket already is out of it by then
_LAST_WAIT_S = 0.02
_log = logging.getLogger(__name__)


class Servant(Protocol):
    """Something loaded and warmed up, that answers every message whatever happens.

    Only a DeviceFaultError leaves it: then there is nothing left to answer with.
    """

    def ready(self) -> FromChild:
        """What it says of itself, once."""
        ...

    def answer(self, message: ToChild) -> FromChild: ...


class StopSignal:
    """Records SIGTERM; the loop asks for it between two batches."""

    def __init__(self) -> None:
        self.arrived = False

    def record(self, _number: int, _frame: FrameType | None) -> None:
        self.arrived = True


def serve(servant: Servant, dial: Dial, stop: StopSignal, progress: Progress) -> None:
    """Answer until told to stop; every answered message is progress."""

    def answer(message: ToChild) -> None:
        said = servant.answer(message)
        progress.tick()
        dial.send(said)

    dial.send(servant.ready())
    while not stop.arrived:
        message = dial.receive(_IDLE_WAIT_S)
        if isinstance(message, Stop):
            break
        if message is not None:
            answer(message)
    # the one batch that may have been sent before anyone knew that this process leaves; no more
    # than that, or a busy pool would keep it here for ever
    last = dial.receive(_LAST_WAIT_S)
    if last is not None and not isinstance(last, Stop):
        answer(last)


def run_worker(arguments: Sequence[str], load: Callable[[str, Progress], Servant]) -> int:
    """The whole life of a worker process, given what makes a servant of its settings."""
    die_with_parent()
    os.umask(0o077)
    address, name, settings_json = arguments
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    stop = StopSignal()
    signal.signal(signal.SIGTERM, stop.record)
    progress = Progress()
    heart = Heart(address, name, progress)
    dial = Dial(address, name)
    heart.start()
    try:
        status = _live(dial, lambda: serve(load(settings_json, progress), dial, stop, progress))
    finally:
        heart.stop()
        # waits until what was said has been taken, for a while
        dial.close()
    if status == DEVICE_FAULT_STATUS:
        # at once: what cleans up after a device that is gone aborts the process, or waits for it
        os._exit(status)
    if stop.arrived and status == 0:
        # as one whom the signal ended: a status of 0 would be taken for the work's fault
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    return status


def _live(dial: Dial, serve_all: Callable[[], None]) -> int:
    """The exit status of a life, however it ends."""
    try:
        serve_all()
    except DeviceFaultError as fault:
        _log.error("the device cannot compute any more, this process ends: %s", fault.message)
        return DEVICE_FAULT_STATUS
    except VoxfleetError as fault:
        dial.send(StartFailed(failure_of(fault)))
        return START_FAILED_STATUS
    return 0


def failure_of(fault: VoxfleetError) -> Failure:
    return Failure(fault.code, fault.message, fault.param)
