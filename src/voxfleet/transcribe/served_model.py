"""One model that requests may name: its workers, its queue, and what its operator set for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from voxfleet.core import EngineInfo
from voxfleet.errors import NotFoundError, NotReadyError
from voxfleet.pool_contract import WorkerPool, WorkerState
from voxfleet.scheduling.admission import Load
from voxfleet.scheduling.dispatcher import Dispatcher


@dataclass(eq=False, slots=True)
class ServedModel:
    """`hotwords` are for requests that name none; `max_segment_s` None leaves it to the server."""

    pool: WorkerPool
    dispatcher: Dispatcher
    hotwords: tuple[str, ...] = ()
    max_segment_s: float | None = None
    #: requests that are being answered with it
    requests: int = 0
    _unused: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While a request is being answered, the model stays."""
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1
            self._unused.set()

    async def until_unused(self) -> None:
        while self.requests:
            self._unused.clear()
            await self._unused.wait()

    @property
    def info(self) -> EngineInfo:
        return self.pool.info

    def load(self, requests: int, uncut_s: float) -> Load:
        """`uncut_s` is the sound expected of requests that are let in and not cut yet."""
        snapshot = self.pool.snapshot()
        workers = max(1, sum(row.state is WorkerState.READY for row in snapshot.workers))
        return Load(
            requests=requests,
            workers=workers,
            waiting_s=self.dispatcher.waiting_s + uncut_s,
            rate=snapshot.rate or self.info.speed * workers,
            measured=snapshot.rate is not None,
        )

    def reason(self) -> str:
        """Why a request that comes now cannot be answered; empty when it can."""
        if self.dispatcher.refusal:
            return self.dispatcher.refusal
        snapshot = self.pool.snapshot()
        if snapshot.ready:
            return ""
        reasons = [worker.reason for worker in snapshot.workers if worker.reason]
        return reasons[0] if reasons else f"no worker of {snapshot.model} is ready"


@dataclass(slots=True)
class ModelList:
    """The models of a server, the default first; the `leaving` ones take no new request."""

    served: list[ServedModel] = field(default_factory=list)
    leaving: list[ServedModel] = field(default_factory=list)

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self.served)

    @property
    def default(self) -> ServedModel:
        if not self.served:
            raise NotReadyError("no model is served; see GET /v1/instances")
        return self.served[0]

    def infos(self) -> tuple[EngineInfo, ...]:
        """Of all that have been loaded; raises NotReadyError while the default has not."""
        infos = [self.default.info]
        for served in self.served[1:]:
            try:
                infos.append(served.info)
            except NotReadyError:
                # still loading: nobody can ask for it yet
                continue
        return tuple(infos)

    def find(self, name: str | None) -> ServedModel:
        """The model of that name or alias, or the default; raises NotFoundError."""
        if name in (None, ""):
            return self.default
        infos = self.infos()
        for info in infos:
            if name in (info.model, *info.aliases):
                return next(served for served in self.served if self._is(served, info))
        known = ", ".join(repr(info.model) for info in infos)
        raise NotFoundError(
            f"model {name!r} is not served here; this server has {known}", param="model"
        )

    @staticmethod
    def _is(served: ServedModel, info: EngineInfo) -> bool:
        try:
            return served.info.model == info.model
        except NotReadyError:
            return False
