"""What a pool remembers of one worker, and when a dead one is started again. Pure: no process.

A slot is a place for a worker that lives several lives; each life has a name of its own, so that
what a dead process said last is never taken for the word of its successor.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.core import Batch
from voxfleet.pool_contract import Room, WorkerSnapshot, WorkerState

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
    WorkerState.DRAINING: frozenset({WorkerState.FAILED}),
    WorkerState.FAILED: frozenset({WorkerState.DRAINING}),
}


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """At once after the first death, then ever later, for as long as the model can be loaded.

    Only deaths without a finished batch in between count as a row. Given up is a worker that did
    not become ready in `most_failed_starts` lives in a row: work alone never ends it for good.
    """

    first_backoff_s: float = 1.0
    longest_backoff_s: float = 5.0
    most_failed_starts: int = 5

    def delay_s(self, deaths: int, failed_starts: int) -> float | None:
        """How long to wait after so many deaths in a row; None means never again."""
        if failed_starts >= self.most_failed_starts:
            return None
        if deaths <= 1:
            return 0.0
        # the exponent is bounded: a row may be of any length
        return min(self.longest_backoff_s, self.first_backoff_s * 2.0 ** min(deaths - 2, 32))


class WorkerSlot:
    """Its state, its life, and the one thing it may hold: a promised room or a batch in work."""

    def __init__(self, worker_id: str) -> None:
        self.id = worker_id
        self.state = WorkerState.STARTING
        self.life = 0
        self.deaths_in_row = 0
        self.failed_starts = 0
        self.credit_s = 0.0
        self.pid: int | None = None
        self.reason = ""
        self.room: Room | None = None
        self.batch: Batch | None = None

    @property
    def name(self) -> str:
        """What the present process calls itself on the wire."""
        return f"{self.id}.{self.life}"

    @property
    def free(self) -> bool:
        return self.state is WorkerState.READY and self.room is None and self.batch is None

    def move(self, state: WorkerState, reason: str = "") -> None:
        if state not in _NEXT[self.state]:
            raise ValueError(f"worker {self.id}: {self.state} cannot become {state}")
        self.state = state
        self.reason = reason

    def begin_life(self) -> None:
        if self.state is not WorkerState.STARTING:
            # what ended the last life stays readable until this one is ready
            self.move(WorkerState.STARTING, self.reason)
        self.life += 1

    def become_ready(self, credit_s: float) -> None:
        self.move(WorkerState.READY)
        self.failed_starts = 0
        self.credit_s = credit_s

    def promise(self) -> Room:
        self.room = Room(self.id, self.credit_s)
        return self.room

    def speaks_as(self, name: str) -> bool:
        """Whether the name is that of the process that lives now."""
        return self.pid is not None and name == self.name

    def take(self, batch: Batch) -> None:
        """The promised room is used."""
        self.room, self.batch = None, batch

    def end_life(self, reason: str, policy: RestartPolicy) -> float | None:
        """The process is gone: the delay before the next life, or None when there is none."""
        # a batch known to kill is tried again to find out: its deaths say nothing of the worker
        expected = self.batch is not None and self.batch.suspect
        self.failed_starts += int(self.state is WorkerState.STARTING)
        self.deaths_in_row += int(not expected)
        self.pid = self.room = self.batch = None
        delay_s = policy.delay_s(0 if expected else self.deaths_in_row, self.failed_starts)
        self.move(WorkerState.FAILED if delay_s is None else WorkerState.RESTARTING, reason)
        return delay_s

    def finish_batch(self) -> None:
        self.batch = None
        self.deaths_in_row = 0

    def snapshot(self, model: str, device: str) -> WorkerSnapshot:
        return WorkerSnapshot(
            id=self.id,
            model=model,
            device=device,
            pid=self.pid,
            state=self.state,
            restarts=max(0, self.life - 1),
            busy=self.batch is not None,
            reason=self.reason,
        )
