"""Probes: `GET /livez` (the process lives), `/readyz` (send it requests), `/health` (for people).

They only look at snapshots and never wait, so they answer while everything computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from voxfleet.errors import NotReadyError
from voxfleet.gateway.api_schemas import GatewaySettings, JsonObject, SpeechService
from voxfleet.pool_contract import PoolSnapshot, WorkerState

_STARTING_RETRY_S = 5.0


class Health(StrEnum):
    OK = "ok"
    STARTING = "starting"
    DEGRADED = "degraded"


def health_of(pools: Sequence[PoolSnapshot]) -> Health:
    """ok: every model has a ready worker; starting: one has not yet; degraded: one has lost it."""
    waiting = [pool for pool in pools if not pool.ready]
    if pools and not waiting:
        return Health.OK
    if not pools or any(_starts(pool) for pool in waiting):
        return Health.STARTING
    return Health.DEGRADED


def _starts(pool: PoolSnapshot) -> bool:
    """Still in its first start; a pool whose workers are being replaced has lost them."""
    states = {worker.state for worker in pool.workers}
    return not states or WorkerState.STARTING in states


def takes_requests(pools: Sequence[PoolSnapshot]) -> bool:
    """A model that is lost does not take the others from service; one not yet loaded does."""
    return health_of(pools) is not Health.STARTING and any(pool.ready for pool in pools)


class Probes:
    def __init__(self, service: SpeechService, settings: GatewaySettings) -> None:
        self._service = service
        self._version = settings.version

    def router(self) -> APIRouter:
        router = APIRouter(tags=["probes"])
        probes = {"/health": self.health, "/livez": self.live, "/readyz": self.ready}
        for path, probe in probes.items():
            router.add_api_route(path, probe, methods=["GET"])
            router.add_api_route(path, probe, methods=["HEAD"], include_in_schema=False)
        return router

    async def health(self) -> JSONResponse:
        """200 while the server lives; `status` is ok, starting or degraded."""
        pools = self._service.pools()
        queue = self._service.queue()
        models = [info.model for info in self._service.models()]
        return JSONResponse(
            {
                "status": health_of(pools),
                "version": self._version,
                "model": models[0],
                "models": models,
                "workers": _workers(pools),
                "queue": {
                    "requests": queue.requests,
                    "waiting": queue.waiting,
                    "waiting_s": round(queue.waiting_s, 3),
                },
            }
        )

    async def live(self) -> JSONResponse:
        """200 as long as the process answers at all."""
        return JSONResponse({"status": "ok"})

    async def ready(self) -> JSONResponse:
        """200 when requests can be answered, else 503."""
        pools = self._service.pools()
        if not takes_requests(pools):
            raise NotReadyError(
                f"no requests yet: the server is {health_of(pools)}; GET /health says more",
                retry_after_s=_STARTING_RETRY_S,
            )
        return JSONResponse({"status": "ok"})


def _workers(pools: Sequence[PoolSnapshot]) -> JsonObject:
    states = [worker.state for pool in pools for worker in pool.workers]
    return {"ready": states.count(WorkerState.READY), "all": len(states)}
