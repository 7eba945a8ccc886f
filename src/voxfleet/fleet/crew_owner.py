"""What a pool is told by the crew that keeps its workers. Knows neither processes nor sockets."""

from __future__ import annotations

from typing import Protocol

from voxfleet.fleet.worker_slot import WorkerSlot
from voxfleet.wire.messages import FromChild


class CrewOwner(Protocol):
    """The pool that the workers belong to."""

    def heard(self, slot: WorkerSlot, message: FromChild) -> bool:
        """A living worker's message; False when it makes no sense now."""
        ...

    def progressed(self, slot: WorkerSlot) -> None:
        """Work gets on there."""
        ...

    def ticked(self, slot: WorkerSlot, elapsed_s: float) -> None:
        """So much time has passed for a living worker, as far as this process ran at all."""
        ...

    def bereaved(self, slot: WorkerSlot, how: str, *, from_outside: bool) -> None:
        """The worker is gone, and whatever it held with it."""
        ...

    def lost_device(self, slot: WorkerSlot) -> None:
        """The worker that is gone took its device to be broken: others share it."""
        ...

    def gone(self, slot: WorkerSlot) -> None:
        """The place is given up; the crew has forgotten it."""
        ...

    def refused(self, reason: str) -> None:
        """Nothing can be computed now."""
        ...
