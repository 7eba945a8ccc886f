"""How one life of a worker ended: in words, as a cause to count, and whose doing it was.

What is known comes in pieces (a kill, the process's own words, its exit status), in any order.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from voxfleet.errors import VoxfleetError
from voxfleet.pool_contract import RestartCause
from voxfleet.wire.child_process import describe_exit
from voxfleet.worker_process import DEVICE_FAULT_STATUS, START_FAILED_STATUS


@dataclass(slots=True)
class LifeEnd:
    """`killed_for` and `kill_cause` are why we ended it ourselves; `start_fault` is why it could
    not start, in its own words. `exit_status` None: there never was a process, or it lives.
    """

    killed_for: str = ""
    kill_cause: RestartCause = RestartCause.HUNG
    start_fault: VoxfleetError | None = None
    exit_status: int | None = None

    @property
    def from_outside(self) -> bool:
        """It was ended by somebody's signal, not by ours nor by what it was doing.

        The kernel's own SIGKILL for memory looks the same, and is given the same benefit.
        """
        # a worker that heeds a SIGTERM leaves with 0, but with nothing in hand
        outside = (-signal.SIGKILL, -signal.SIGTERM)
        return self.exit_status in outside and not self.killed_for

    @property
    def lost_device(self) -> bool:
        """It ended because its device cannot compute any more."""
        return self.exit_status == DEVICE_FAULT_STATUS and not self.killed_for

    @property
    def words_expected(self) -> bool:
        """Its last message says why, and may still be on the way."""
        return self.exit_status == START_FAILED_STATUS

    def how(self, exit_status: int) -> str:
        if self.start_fault is not None:
            return f"could not start: {self.start_fault.message}"
        if self.lost_device:
            return "lost its device, which cannot compute any more (its log says why)"
        return self.killed_for or describe_exit(exit_status)

    @property
    def cause(self) -> RestartCause:
        """The same, for counting."""
        if self.start_fault is not None or self.exit_status is None:
            return RestartCause.START_FAILED
        if self.lost_device:
            return RestartCause.DEVICE_FAULT
        if self.killed_for:
            return self.kill_cause
        if self.words_expected:
            return RestartCause.START_FAILED
        return RestartCause.KILLED if self.from_outside else RestartCause.CRASHED
