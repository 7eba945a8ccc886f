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

from voxfleet.errors import VoxfleetError
from voxfleet.wire.channel import Dial
from voxfleet.wire.child_process import die_with_parent
from voxfleet.wire.messages import Failure, FromChild, StartFailed, Stop, ToChild

#: the exit status that says: trying again will not help
START_FAILED_STATUS = 3
#: how soon a recorded signal is acted upon while there is no work
_IDLE_WAIT_S = 0.5
#: what has reached the socket already is out of it by then
_LAST_WAIT_S = 0.02


class Servant(Protocol):
    """Something loaded and warmed up, that answers every message whatever happens."""

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


def serve(servant: Servant, dial: Dial, stop: StopSignal) -> None:
    dial.send(servant.ready())
    while not stop.arrived:
        message = dial.receive(_IDLE_WAIT_S)
        if isinstance(message, Stop):
            break
        if message is not None:
            dial.send(servant.answer(message))
    # the one batch that may have been sent before anyone knew that this process leaves; no more
    # than that, or a busy pool would keep it here for ever
    last = dial.receive(_LAST_WAIT_S)
    if last is not None and not isinstance(last, Stop):
        dial.send(servant.answer(last))


def run_worker(arguments: Sequence[str], load: Callable[[str], Servant]) -> int:
    """The whole life of a worker process, given what makes a servant of its settings."""
    die_with_parent()
    os.umask(0o077)
    address, name, settings_json = arguments
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    stop = StopSignal()
    signal.signal(signal.SIGTERM, stop.record)
    dial = Dial(address, name)
    try:
        serve(load(settings_json), dial, stop)
    except VoxfleetError as fault:
        dial.send(StartFailed(failure_of(fault)))
        return START_FAILED_STATUS
    finally:
        dial.close()
    return 0


def failure_of(fault: VoxfleetError) -> Failure:
    return Failure(fault.code, fault.message, fault.param)
