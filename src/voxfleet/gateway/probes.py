"""Probes: `GET /livez` (the process lives), `/readyz` (send it requests), `/health` (for people).

They only look at snapshots and never wait, so they answer while everything computes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from enum import StrEnum

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request

from voxfleet.errors import NotReadyError
from voxfleet.gateway.api_schemas import (
    GatewaySettings,
    JsonObject,
    SpeechService,
    degradations,
)
from voxfleet.gateway.readiness import Readiness
from voxfleet.pool_contract import PoolSnapshot, WorkerSnapshot, WorkerState

_RETRY_S = 5.0


class Health(StrEnum):
    OK = "ok"
    STARTING = "starting"
    DEGRADED = "degraded"
    DRAINING = "draining"


def health_of(
    pools: Sequence[PoolSnapshot], ready: bool, text_pool: PoolSnapshot | None = None
) -> Health:
    """ok: all is there; starting: a model has yet to load; degraded: something was lost."""
    seen = [pool for pool in (*pools, text_pool) if pool]
    waiting = [pool for pool in seen if not pool.ready]
    if any(pool.degraded for pool in seen) or not all(_starts(pool) for pool in waiting):
        return Health.DEGRADED
    if waiting or not pools:
        return Health.STARTING
    return Health.OK if ready else Health.DEGRADED


def _starts(pool: PoolSnapshot) -> bool:
    """Still in its first start; a pool whose workers are being replaced has lost them."""
    lost = (WorkerState.FAILED, WorkerState.RESTARTING)
    if any(worker.restarts or worker.state in lost for worker in pool.workers):
        return False
    return not pool.workers or any(w.state is WorkerState.STARTING for w in pool.workers)


def _counts(workers: Iterable[WorkerSnapshot]) -> JsonObject:
    states = [worker.state for worker in workers]
    return {"ready": states.count(WorkerState.READY), "total": len(states)}


class Probes:
    def __init__(
        self, service: SpeechService, settings: GatewaySettings, readiness: Readiness
    ) -> None:
        self._service = service
        self._version = settings.version
        self._readiness = readiness
        self._started_s = time.monotonic()
        self.by_path = {"/health": self.health, "/livez": self.live, "/readyz": self.ready}

    def router(self) -> APIRouter:
        router = APIRouter(tags=["probes"])
        for path, probe in self.by_path.items():
            router.add_api_route(path, probe, methods=["GET"])
            router.add_api_route(path, probe, methods=["HEAD"], include_in_schema=False)
        return router

    async def health(self, _request: Request) -> JSONResponse:
        """200 while the server lives; `status` is ok, starting, degraded or draining."""
        pools = self._service.pools()
        queue = self._service.queue()
        models = [pool.model for pool in pools]
        text_pool = self._service.text_pool()
        unready = self._readiness.reason()
        reason = unready or "; ".join(degradations(pools)) or _text_reason(text_pool)
        status = health_of(pools, not unready, text_pool)
        return JSONResponse(
            {
                "status": Health.DRAINING if self._readiness.draining else status,
                **({"reason": reason} if reason else {}),
                "version": self._version,
                "uptime_s": round(time.monotonic() - self._started_s, 1),
                "model": next(iter(models), None),
                "models": models,
                "instances": _counts(worker for pool in pools for worker in pool.workers),
                **({"text_instances": _counts(text_pool.workers)} if text_pool else {}),
                "queue": {
                    "requests": queue.requests,
                    "waiting": queue.waiting,
                    "waiting_s": round(queue.waiting_s, 3),
                },
            }
        )

    async def live(self, _request: Request) -> JSONResponse:
        """200 as long as the process answers at all."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> JSONResponse:
        """200 when requests can be answered, else 503."""
        if reason := self._readiness.reason():
            raise NotReadyError(
                f"no requests now: {reason}; GET /health says more", retry_after_s=_RETRY_S
            )
        return JSONResponse({"status": "ok"})


def _text_reason(pool: PoolSnapshot | None) -> str:
    """Why texts come without marks or digits now; empty when they do not, or need none."""
    if pool is None or (pool.ready and not pool.degraded):
        return ""
    reasons = [worker.reason for worker in pool.workers if worker.reason]
    return f"text engines {pool.model}: {pool.degraded or next(iter(reasons), 'not ready')}"
