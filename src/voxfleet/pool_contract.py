"""All that the layers above know of workers: the protocol of a pool, and what can be seen of one.

Knows no process, no transport and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from voxfleet.core import Batch, EngineInfo, Hypothesis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxfleet.errors import RecognitionError, VoxfleetError


class WorkerState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    RESTARTING = "restarting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Room:
    """A worker's promise that it can take up to `credit_s` padded seconds now."""

    worker_id: str
    credit_s: float


@dataclass(frozen=True, slots=True)
class BatchResult:
    """One answer per segment of the batch, in its order, and how long the engine computed."""

    results: tuple[Hypothesis | RecognitionError, ...]
    compute_s: float


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    id: str
    model: str
    device: str
    pid: int | None
    state: WorkerState
    restarts: int
    busy: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """The workers of one model; `rate` is measured audio seconds per second, or None."""

    model: str
    workers: tuple[WorkerSnapshot, ...]
    rate: float | None

    @property
    def ready(self) -> bool:
        return any(worker.state is WorkerState.READY for worker in self.workers)


class WorkerPool(Protocol):
    """All that the layers above know of workers."""

    @property
    def info(self) -> EngineInfo: ...
    async def start(self) -> None:
        """Start the workers, wait until the first is ready; raises StartError when none can be."""
        ...

    async def stop(self) -> None: ...
    async def room(self, avoid: frozenset[str] = frozenset()) -> Room:
        """Wait until a worker can take work, reserve it; prefers workers not in `avoid`."""
        ...

    async def recognise(self, batch: Batch, room: Room) -> BatchResult:
        """Compute the batch in the reserved room, then free it; may raise WorkerLostError."""
        ...

    def release(self, room: Room) -> None:
        """Give back a room that was not used."""
        ...

    def snapshot(self) -> PoolSnapshot: ...


class TextProcessor(Protocol):
    """All that the layers above know of text engines."""

    @property
    def engines(self) -> frozenset[str]:
        """The names that `process` takes."""
        ...

    async def start(self) -> None:
        """Wait until texts can be processed; raises StartError."""
        ...

    async def stop(self) -> None: ...
    async def process(self, engine: str, texts: Sequence[str]) -> list[str | VoxfleetError]:
        """One answer per text, in order: the engine's text, or why there is none."""
        ...

    def snapshot(self) -> PoolSnapshot: ...


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """Segments waiting for a worker, their sound in seconds, and the requests being answered."""

    waiting: int
    waiting_s: float
    requests: int
