"""The text worker of a server: punctuation and number formatting for every request together.

Texts of all requests wait in one queue and travel in batches. A dead or hung worker is replaced and
its texts tried again; whatever cannot be had is an error in the text's own place. Knows no
transcript.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from voxfleet.core import Batch
from voxfleet.engines.text_catalog import TextEngineOptions
from voxfleet.errors import (
    DeadlineError,
    EngineFaultError,
    NotReadyError,
    OverloadError,
    VoxfleetError,
    WorkerLostError,
    rebuild,
)
from voxfleet.fleet.device_env import VISIBLE, on_device
from voxfleet.fleet.text_queue import TextOrder, TextQueue
from voxfleet.fleet.worker_crew import WorkerCrew
from voxfleet.fleet.worker_keeper import KeeperSettings
from voxfleet.fleet.worker_slot import RestartPolicy, WorkerSlot
from voxfleet.pool_contract import PoolSnapshot, RestartCause, WorkerState
from voxfleet.wire.messages import (
    FromChild,
    ProcessTexts,
    TextAnswer,
    TextsProcessed,
    TextWorkerReady,
)

_WORKER_MODULE = "voxfleet.text_worker"
#: far more than a second of work for any text engine
_HUNG_AFTER_S_PER_CHAR = 0.02
#: so much text may wait; it is bounded by the requests that are let in, too
MAX_WAITING_CHARS = 20_000_000

TextResult = str | VoxfleetError


@dataclass(eq=False, slots=True)
class _Job:
    """A batch in the worker; `alarm` rings when the worker counts as hung."""

    id: str
    orders: tuple[TextOrder, ...]
    alarm: asyncio.TimerHandle
    #: whether it would be at fault if the worker died now
    blamed: bool = True


class TextPool:
    """`hung_after_s` is allowed for any batch, and `wait_limit_s` for any call, at the least."""

    def __init__(
        self,
        options: TextEngineOptions,
        *,
        socket_path: Path,
        log_dir: Path | None,
        start_timeout_s: float,
        hung_after_s: float,
        wait_limit_s: float = 60.0,
        stop_grace_s: float = 2.0,
        restarts: RestartPolicy | None = None,
        worker_module: str = _WORKER_MODULE,
    ) -> None:
        self._options = options
        self._hung_after_s = hung_after_s
        self._wait_limit_s = wait_limit_s
        self._start_timeout_s = start_timeout_s
        told, env = on_device(options.device, os.environ.get(VISIBLE))
        settings = KeeperSettings(
            module=worker_module,
            options=replace(options, device=told),
            env=env,
            address="",
            log_dir=log_dir,
            start_timeout_s=start_timeout_s,
            stop_grace_s=stop_grace_s,
            restarts=restarts or RestartPolicy(),
        )
        self._slot = WorkerSlot("text-0", wall_clock=time.time)
        self._crew = WorkerCrew(self, socket_path, "text engines")
        self._crew.add(self._slot, settings)
        self._queue = TextQueue()
        self._answers: dict[TextOrder, asyncio.Future[TextResult]] = {}
        self._job: _Job | None = None
        self._job_numbers = count()
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def engines(self) -> frozenset[str]:
        return frozenset(self._options.names)

    async def start(self) -> None:
        await self._crew.start(self._start_timeout_s)

    async def stop(self) -> None:
        await self._crew.stop()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def snapshot(self) -> PoolSnapshot:
        name = "+".join(self._options.names)
        row = self._slot.snapshot(name, self._options.device)
        if self._crew.broken:
            row = replace(row, state=WorkerState.FAILED, reason=self._crew.broken)
        return PoolSnapshot(name, (row,), None, self._slot.trouble)

    async def process(self, engine: str, texts: Sequence[str]) -> list[TextResult]:
        """One answer per text, in order: the engine's text, or why there is none. Never raises."""
        fault = self._refusal(engine, texts)
        if fault:
            return [fault] * len(texts)
        orders = [TextOrder(engine, text) for text in texts]
        loop = asyncio.get_running_loop()
        answers: dict[TextOrder, asyncio.Future[TextResult]] = {
            order: loop.create_future() for order in orders if _can_travel(order.text)
        }
        self._answers |= answers
        self._queue.put(list(answers))
        self._feed()
        limit_s = self._wait_limit_s + sum(map(len, texts)) * _HUNG_AFTER_S_PER_CHAR
        try:
            if answers:
                await asyncio.wait(answers.values(), timeout=limit_s)
        finally:
            self._forget(answers)
        return [_outcome(answers.get(order), limit_s) for order in orders]

    def _refusal(self, engine: str, texts: Sequence[str]) -> VoxfleetError | None:
        if self._crew.refusal:
            return NotReadyError(f"text engines: {self._crew.refusal}")
        if engine not in self.engines:
            return NotReadyError(f"text engine {engine}: this server has none")
        if self._queue.waiting_chars + sum(map(len, texts)) > MAX_WAITING_CHARS:
            return OverloadError(f"text engine {engine}: too much text is waiting; try again later")
        return None

    def _forget(self, answers: dict[TextOrder, asyncio.Future[TextResult]]) -> None:
        late = [order for order, answer in answers.items() if not answer.done()]
        if late:
            self._queue.discard(late)
        for order in answers:
            del self._answers[order]

    # -- one batch ----------------------------------------------------------------------------

    def _feed(self) -> None:
        """Give the worker the next batch, if it is free and there is one."""
        orders = self._queue.next_batch() if self._slot.free else ()
        if not orders:
            return
        loop = asyncio.get_running_loop()
        chars = sum(len(order.text) for order in orders)
        limit_s = self._hung_after_s + chars * _HUNG_AFTER_S_PER_CHAR
        job_id = f"texts-{next(self._job_numbers)}"
        self._job = job = _Job(job_id, orders, loop.call_later(limit_s, self._give_up, limit_s))
        # the slot need not know what the work is: only its name, and whether it is on trial
        self._slot.take(Batch(job_id, (), suspect=orders[0].suspect))
        sending = self._crew.watched(self._send(job), f"send {job_id}")
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _send(self, job: _Job) -> None:
        texts = tuple(order.text for order in job.orders)
        message = ProcessTexts(job.id, job.orders[0].engine, texts)
        if not await self._crew.send(self._slot, message) and self._job is job:
            job.blamed = False
            self._crew.kill(self._slot, "is not connected any more", RestartCause.DISCONNECTED)

    def _give_up(self, limit_s: float) -> None:
        self._crew.kill(self._slot, f"hung: it gave no answer to a batch in {limit_s:.3g} s")

    def _end_job(self) -> _Job | None:
        job, self._job = self._job, None
        if job:
            job.alarm.cancel()
        return job

    def _settle(self, order: TextOrder, outcome: TextResult) -> None:
        answer = self._answers.get(order)
        # whoever asked may have gone
        if answer is not None and not answer.done():
            answer.set_result(outcome)

    # -- what the crew tells ------------------------------------------------------------------

    def heard(self, slot: WorkerSlot, message: FromChild) -> bool:
        match message:
            case TextWorkerReady() if slot.state is WorkerState.STARTING:
                self._crew.is_ready(slot)
                self._feed()
                return True
            case TextsProcessed() if self._job and self._job.id == message.batch_id:
                return self._take_answers(slot, self._job, message)
        return False

    def _take_answers(self, slot: WorkerSlot, job: _Job, message: TextsProcessed) -> bool:
        outcomes = [_understood(answer) for answer in message.answers]
        if len(outcomes) != len(job.orders) or None in outcomes:
            return False
        self._end_job()
        slot.finish_batch()
        for order, outcome in zip(job.orders, outcomes, strict=True):
            if outcome is not None:
                self._settle(order, outcome)
        self._feed()
        return True

    def progressed(self, slot: WorkerSlot) -> None:
        """A batch of texts is short: its limit counts from its start."""

    def ticked(self, slot: WorkerSlot, elapsed_s: float) -> None:
        """Its batches have an alarm of their own."""

    def lost_device(self, slot: WorkerSlot) -> None:
        """It is replaced like any other dead worker."""

    def gone(self, slot: WorkerSlot) -> None:
        """There is but one, and it stays."""

    def bereaved(self, slot: WorkerSlot, how: str, *, from_outside: bool) -> None:
        job = self._end_job()
        if job is None:
            return
        wanted = [order for order in job.orders if order in self._answers]
        for order in self._queue.lost(wanted, blamed=job.blamed and not from_outside):
            reason = f"text worker {slot.id} {how}, {order.losses} times with this text in hand"
            blamed = order.deaths > 0
            self._settle(order, EngineFaultError(reason) if blamed else WorkerLostError(reason))

    def refused(self, reason: str) -> None:
        self._end_job()
        for order in list(self._answers):
            self._settle(order, NotReadyError(f"text engines: {reason}"))


def _can_travel(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _understood(answer: TextAnswer) -> TextResult | None:
    """None when it is no answer at all."""
    if (answer.text is None) == (answer.failure is None):
        return None
    if answer.failure is None:
        return answer.text
    return rebuild(answer.failure.code, answer.failure.message, answer.failure.param)


def _outcome(answer: asyncio.Future[TextResult] | None, limit_s: float) -> TextResult:
    if answer is None:
        return EngineFaultError("the text holds half a character and cannot be sent")
    if not answer.done():
        return DeadlineError(f"no answer from the text worker within {limit_s:.3g} s")
    return answer.result()
