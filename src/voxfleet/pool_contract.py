"""All that the layers above know of workers: the protocol of a pool, and what can be seen of one.

Knows no process, no transport and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from voxfleet.core import Batch, EngineInfo, Hypothesis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxfleet.errors import RecognitionError, VoxfleetError


class WorkerState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    RESTARTING = "restarting"
    FAILED = "failed"


class RestartCause(StrEnum):
    """Why a worker's life ended, so that it needed another."""

    #: somebody's signal; the kernel's own for want of memory looks the same
    KILLED = "killed"
    #: it ended by itself: a fault of the engine, a status nobody told it
    CRASHED = "crashed"
    #: no answer to a batch for too long
    HUNG = "hung"
    #: idle, and no sign of life
    SILENT = "silent"
    NONSENSE = "nonsense"
    DISCONNECTED = "disconnected"
    DEVICE_FAULT = "device_fault"
    #: another worker has lost the card that both were on
    SHARED_DEVICE = "shared_device"
    START_FAILED = "start_failed"
    START_TIMEOUT = "start_timeout"
    ORDERED = "ordered"


class RetryReason(StrEnum):
    """Why a segment is computed again."""

    #: its worker died of it or of its neighbours, as far as anybody knows
    BATCH_SUSPECTED = "batch_suspected"
    #: its worker was lost for a reason that had nothing to do with the work
    WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class TimeModel:
    """What a batch costs: `fixed_s` whatever it holds, and `per_padded_s` for each padded second.

    `learned` tells a model that rests on finished batches from an engine's own guess.
    """

    fixed_s: float
    per_padded_s: float
    learned: bool = False

    def predict_s(self, padded_s: float) -> float:
        return self.fixed_s + self.per_padded_s * padded_s

    def padded_within_s(self, limit_s: float) -> float:
        """How many padded seconds fit into so much time; 0 where not even an empty batch does."""
        return max(0.0, limit_s - self.fixed_s) / self.per_padded_s


@dataclass(frozen=True, slots=True)
class Room:
    """A worker's promise that it can take up to `credit_s` padded seconds now.

    `pace` is how long that will take; None where nobody knows.
    """

    worker_id: str
    credit_s: float
    pace: TimeModel | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """One answer per segment of the batch, in its order, and how long the engine computed."""

    results: tuple[Hypothesis | RecognitionError, ...]
    compute_s: float


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One instance as operators see it.

    `since_s` is the Unix time of its last change of state, `in_flight` the segments it computes,
    `audio_s` what it has recognised in all its lives, `compute_s` the time that took, `credit_s`
    the padded seconds it takes at once. `reason` is why its state is what it is, `last_error` what
    went wrong last, kept after it has recovered. `segments`, `padded_s` and `offered_s` are what
    its batches held, what of a device's time that was with padding, and what it would have taken.
    """

    id: str
    model: str
    device: str
    pid: int | None
    state: WorkerState
    restarts: int
    busy: bool
    reason: str = ""
    pool: str = ""
    since_s: float = 0.0
    in_flight: int = 0
    audio_s: float = 0.0
    compute_s: float = 0.0
    batches: int = 0
    credit_s: float = 0.0
    out_of_memory: int = 0
    last_error: str = ""
    segments: int = 0
    padded_s: float = 0.0
    offered_s: float = 0.0
    #: their sum is `restarts`
    restarts_by_cause: Mapping[RestartCause, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """The workers of one model; `rate` is measured audio seconds per second, or None.

    `degraded` says why fewer workers serve than should; empty when all is well.
    """

    model: str
    workers: tuple[WorkerSnapshot, ...]
    rate: float | None
    degraded: str = ""

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
    """Segments waiting for a worker, their sound in seconds, and the requests being answered.

    `retries` are the segments that were computed again, ever, by reason.
    """

    waiting: int
    waiting_s: float
    requests: int
    retries: Mapping[RetryReason, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GpuSnapshot:
    """One card as the driver tells it now; what it does not tell is None. Memory is in MiB."""

    index: int
    uuid: str
    name: str
    memory_total_mb: int
    memory_free_mb: int
    driver: str = ""
    capability: str = ""
    load_percent: int | None = None
    temperature_c: int | None = None


class FleetControl(Protocol):
    """What an operator may do with the workers of all pools; each may raise VoxfleetError.

    An unknown worker or pool is a NotFoundError. Nothing here loses a request: what a worker has
    in hand is finished first, what waits goes to the others or waits for the successor.
    """

    def start(self) -> None:
        """Begin to look after the numbers of workers; the pools have been started by then."""
        ...

    async def stop(self) -> None:
        """Let no worker come or go any more."""
        ...

    async def restart(self, worker_id: str) -> None:
        """Returns when the restart has begun; its progress shows in the snapshots."""
        ...

    async def drain(self, worker_id: str) -> None:
        """The worker finishes what it has and ends; it stays away until it is restarted.

        Returns when that has begun.
        """
        ...

    async def scale(self, pool: str, instances: int) -> None:
        """Raises PlanError where so many do not fit."""
        ...

    async def reload(self) -> str:
        """Read the settings again and replace the workers whose settings changed, one by one.

        Returns at once, with one line that says what changes; raises SettingsError or PlanError,
        changing nothing.
        """
        ...

    def gpus(self) -> tuple[GpuSnapshot, ...]:
        """Blocks for some tenths of a second."""
        ...

    @property
    def decisions(self) -> Sequence[ScaleDecision]:
        """What was decided lately about the number of workers, the oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class ScaleDecision:
    """One word of the autoscaler: from how many instances to how many, when (Unix time) and why.

    Both numbers are the same where more were needed and something stood in the way.
    """

    pool: str
    at_s: float
    from_instances: int
    to_instances: int
    reason: str
