"""What a pool remembers of one worker, and when a dead one is started again. Pure: no process.

A slot is a place for a worker that lives several lives; each life has a name of its own, so that
what a dead process said last is never taken for the word of its successor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from voxfleet.core import Batch
from voxfleet.pool_contract import RestartCause, Room, TimeModel, WorkerSnapshot, WorkerState

#: what may follow what; nothing else moves a slot
_NEXT: dict[WorkerState, frozenset[WorkerState]] = {
    WorkerState.STARTING: frozenset(
        {WorkerState.READY, WorkerState.RESTARTING, WorkerState.FAILED, WorkerState.DRAINING}
    ),
    WorkerState.READY: frozenset(
        {WorkerState.RESTARTING, WorkerState.FAILED, WorkerState.DRAINING}
    ),
    WorkerState.RESTARTING: frozenset(
        {WorkerState.STARTING, WorkerState.FAILED, WorkerState.DRAINING}
    ),
    # an operator's restart, or the end of a life that was to be drained anyway
    WorkerState.DRAINING: frozenset(
        {WorkerState.STARTING, WorkerState.RESTARTING, WorkerState.FAILED}
    ),
    WorkerState.FAILED: frozenset({WorkerState.STARTING, WorkerState.DRAINING}),
}
#: deaths in a row, without a finished batch, from which on operators are told
_MANY_DEATHS = 3
#: a worker that has been ready for so long is as good as any
_FORGIVEN_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """At once after the first death, then ever later, for as long as the model can be loaded.

    Only deaths without a finished batch in between count as a row. A worker that did not become
    ready in `most_failed_starts` lives in a row has failed; it is tried again after
    `restart_failed_after_s`, so that nobody need get up for a device that was away for a while.
    """

    first_backoff_s: float = 1.0
    longest_backoff_s: float = 30.0
    most_failed_starts: int = 5
    restart_failed_after_s: float = 300.0

    def delay_s(self, deaths: int, failed_starts: int) -> float | None:
        """How long to wait after so many deaths in a row; None means that it has failed."""
        if failed_starts >= self.most_failed_starts:
            return None
        if deaths <= 1:
            return 0.0
        # the exponent is bounded: a row may be of any length
        return min(self.longest_backoff_s, self.first_backoff_s * 2.0 ** min(deaths - 2, 32))


@dataclass(slots=True)
class Served:
    """What a slot's workers have done in all their lives."""

    audio_s: float = 0.0
    compute_s: float = 0.0
    batches: int = 0
    out_of_memory: int = 0
    segments: int = 0
    padded_s: float = 0.0
    offered_s: float = 0.0
    last_error: str = ""
    restarts: dict[RestartCause, int] = field(default_factory=dict)


class WorkerSlot:
    """Its state, its life, and the one thing it may hold: a promised room or a batch in work.

    `wall_clock` gives the Unix time of its changes of state.
    """

    def __init__(
        self, worker_id: str, pool: str = "", wall_clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.id = worker_id
        self.pool = pool
        self._wall_clock = wall_clock
        self.since_s = wall_clock()
        self.state = WorkerState.STARTING
        self.life = 0
        self._ended_by = RestartCause.CRASHED
        self.deaths_in_row = 0
        self.failed_starts = 0
        self.pid: int | None = None
        self.reason = ""
        self.room: Room | None = None
        #: which of the pool's promises was the last to it; 0 before the first
        self.last_promise = 0
        self.batch: Batch | None = None
        #: how much it would have taken when it was given that batch
        self.offered_s = 0.0
        self.served = Served()
        #: how long it has said nothing, counted by whoever hears it
        self.silent_s = 0.0
        self.ready_s = 0.0
        self.progress = 0

    @property
    def name(self) -> str:
        """What the present process calls itself on the wire."""
        return f"{self.id}.{self.life}"

    @property
    def idle(self) -> bool:
        """It has nothing in hand and nobody counts on it."""
        return self.room is None and self.batch is None

    @property
    def free(self) -> bool:
        return self.state is WorkerState.READY and self.idle

    def move(self, state: WorkerState, reason: str = "") -> None:
        if state not in _NEXT[self.state]:
            raise ValueError(f"worker {self.id}: {self.state} cannot become {state}")
        self.state = state
        self.reason = reason
        self.since_s = self._wall_clock()

    def begin_life(self) -> None:
        if self.state is not WorkerState.STARTING:
            # what ended the last life stays readable until this one is ready
            self.move(WorkerState.STARTING, self.reason)
        if self.life:
            restarts = self.served.restarts
            restarts[self._ended_by] = restarts.get(self._ended_by, 0) + 1
        self.life += 1
        self.silent_s = 0.0
        self.progress = 0

    def become_ready(self) -> None:
        self.move(WorkerState.READY)
        self.failed_starts = 0
        self.silent_s = 0.0
        self.ready_s = 0.0

    def pass_time(self, elapsed_s: float) -> None:
        """So much time has passed for a living worker."""
        self.silent_s += elapsed_s
        if self.state is WorkerState.READY:
            self.ready_s += elapsed_s
            if self.ready_s > _FORGIVEN_AFTER_S:
                self.deaths_in_row = 0

    def promise(self, credit_s: float, pace: TimeModel | None = None) -> Room:
        self.room = Room(self.id, credit_s, pace)
        return self.room

    def speaks_as(self, name: str) -> bool:
        """Whether the name is that of the process that lives now."""
        return self.pid is not None and name == self.name

    def beat(self, progress: int) -> bool:
        """It has given a sign of life: whether work got on since the last one."""
        self.silent_s = 0.0
        moved, self.progress = progress != self.progress, progress
        return moved

    def take(self, batch: Batch) -> None:
        """The promised room is used."""
        self.offered_s = self.room.credit_s if self.room else 0.0
        self.room, self.batch = None, batch

    def end_life(
        self,
        reason: str,
        policy: RestartPolicy,
        cause: RestartCause = RestartCause.CRASHED,
        *,
        hopeless: bool = False,
    ) -> float | None:
        """The process is gone: the delay before the next life, or None when it has failed."""
        # a batch known to kill is tried again to find out: its deaths say nothing of the worker
        expected = self.batch is not None and self.batch.suspect
        self.failed_starts += int(self.state is WorkerState.STARTING)
        self.deaths_in_row += int(not expected)
        self.served.last_error = reason
        self._ended_by = cause
        self.pid = self.room = self.batch = None
        deaths = 0 if expected else self.deaths_in_row
        delay_s = None if hopeless else policy.delay_s(deaths, self.failed_starts)
        self.move(WorkerState.FAILED if delay_s is None else WorkerState.RESTARTING, reason)
        return delay_s

    def leave(self) -> None:
        """The process has ended because it was told to; nothing was in hand."""
        self._ended_by = RestartCause.ORDERED
        self.pid = self.room = self.batch = None

    def finish_batch(self) -> None:
        self.batch = None
        self.deaths_in_row = 0

    def count(self, batch: Batch, compute_s: float, out_of_memory: int) -> None:
        """What the finished batch was; to be told before `finish_batch`."""
        served = self.served
        served.audio_s += sum(segment.duration_s for segment in batch.segments)
        served.compute_s += compute_s
        served.batches += 1
        served.out_of_memory += out_of_memory
        served.segments += len(batch.segments)
        served.padded_s += batch.padded_s
        served.offered_s += self.offered_s

    @property
    def trouble(self) -> str:
        """Why it does not serve as it should; empty while all is well."""
        if self.state is WorkerState.FAILED:
            return f"worker {self.id} has failed: {self.reason}"
        if self.deaths_in_row >= _MANY_DEATHS:
            return (
                f"worker {self.id} ended {self.deaths_in_row} times in a row without finishing a"
                f" batch, last: {self.served.last_error}"
            )
        return ""

    def snapshot(self, model: str, device: str, credit_s: float = 0.0) -> WorkerSnapshot:
        served = self.served
        return WorkerSnapshot(
            id=self.id,
            model=model,
            device=device,
            pid=self.pid,
            state=self.state,
            restarts=max(0, self.life - 1),
            busy=self.batch is not None,
            reason=self.reason,
            pool=self.pool,
            since_s=self.since_s,
            in_flight=len(self.batch.segments) if self.batch else 0,
            audio_s=served.audio_s,
            compute_s=served.compute_s,
            batches=served.batches,
            credit_s=credit_s,
            out_of_memory=served.out_of_memory,
            last_error=served.last_error,
            segments=served.segments,
            padded_s=served.padded_s,
            offered_s=served.offered_s,
            restarts_by_cause=dict(served.restarts),
        )
