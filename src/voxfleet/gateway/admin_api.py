"""For operators: what the workers do, what the machine is, and orders to the fleet.

Knows the routes and their shapes; what an order does is the fleet's. Who may give orders is not
asked here, but no web page can give them in its visitor's name: see `refuse_web_pages`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from voxfleet.errors import NotFoundError, ParameterError, VoxfleetError
from voxfleet.gateway.api_schemas import (
    GatewaySettings,
    JsonObject,
    SpeechService,
    degradations,
    gpu_object,
    instance_object,
    pool_objects,
    system_object,
)
from voxfleet.gateway.http_errors import shown
from voxfleet.gateway.json_orders import refuse_web_pages, small_body
from voxfleet.observe.system_info import SystemInfo, SystemReader
from voxfleet.pool_contract import GpuSnapshot

_ACCEPTED = 202
#: an order has two short fields
_MAX_ORDER_BYTES = 10_000
_MAX_IDS_CHARS = 300


class ScaleOrder(BaseModel):
    """The body of `POST /v1/fleet/scale`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    instances: int = Field(ge=1, le=256, description="How many there should be.")
    pool: str | None = Field(
        default=None, max_length=200, description="Which pool; left out where there is only one."
    )


class AdminApi:
    """`warnings` gives what an operator should look at beside what the fleet knows itself."""

    def __init__(
        self,
        service: SpeechService,
        settings: GatewaySettings,
        warnings: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._service = service
        self._warnings = warnings
        self._version = settings.version
        self._system = SystemReader(settings.data_dir or settings.upload_dir.parent)
        self._started_s = time.monotonic()

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", tags=["operators"])
        router.add_api_route("/instances", self.list_instances, methods=["GET"])
        router.add_api_route("/system", self.system, methods=["GET"])
        orders: dict[str, Callable[..., Awaitable[JSONResponse]]] = {
            "/instances/{instance_id}/restart": self.restart,
            "/instances/{instance_id}/drain": self.drain,
            "/fleet/scale": self.scale,
            "/fleet/reload": self.reload,
        }
        for path, order in orders.items():
            router.add_api_route(
                path,
                order,
                methods=["POST"],
                status_code=_ACCEPTED,
                dependencies=[Depends(refuse_web_pages)],
                openapi_extra=_scale_body() if order == self.scale else None,
            )
        return router

    async def list_instances(self) -> JSONResponse:
        """Every worker, and every pool with what the autoscaler decided lately."""
        queues, decisions = self._service.queues(), self._service.decisions()
        pools = [
            row
            for pool in self._service.pools()
            for row in pool_objects(pool, queues[pool.model], decisions)
        ]
        return JSONResponse({"data": list(self._rows().values()), "pools": pools})

    async def restart(self, instance_id: str) -> JSONResponse:
        """End the worker when it has finished what it has, and start its successor."""
        row = self._row(instance_id)
        await self._service.fleet.restart(instance_id)
        return JSONResponse(self._rows().get(instance_id, row), _ACCEPTED)

    async def drain(self, instance_id: str) -> JSONResponse:
        """End the worker when it has finished what it has; it stays away until a restart."""
        row = self._row(instance_id)
        await self._service.fleet.drain(instance_id)
        return JSONResponse(self._rows().get(instance_id, row), _ACCEPTED)

    async def scale(self, request: Request) -> JSONResponse:
        """Give a pool so many workers."""
        order = _read_order(await small_body(request, _MAX_ORDER_BYTES, "send less"))
        pool = order.pool or self._only_pool()
        await self._service.fleet.scale(pool, order.instances)
        answer = {"status": "scaling", "pool": pool, "instances": order.instances}
        return JSONResponse(answer, _ACCEPTED)

    async def reload(self) -> JSONResponse:
        """Read the settings again; workers whose settings changed are replaced one by one."""
        message = await self._service.fleet.reload()
        return JSONResponse({"status": "reloading", "message": message}, _ACCEPTED)

    async def system(self) -> JSONResponse:
        """Versions, CPU, memory, disk and GPUs of this machine, and what is wrong with it."""
        info, gpus, warnings = await asyncio.to_thread(self._look)
        return JSONResponse(
            {
                **system_object(info, self._version, time.monotonic() - self._started_s),
                "gpus": [gpu_object(gpu) for gpu in gpus],
                "warnings": [
                    *self._warnings(),
                    *degradations(self._service.pools()),
                    *warnings,
                ],
            }
        )

    def _look(self) -> tuple[SystemInfo, tuple[GpuSnapshot, ...], list[str]]:
        """What blocks: files of the system, and drivers."""
        info = self._system.read()
        warnings = [] if info.disk else ["the data directory's disk cannot be read"]
        try:
            return info, self._service.fleet.gpus(), warnings
        except VoxfleetError as fault:
            # a machine whose driver is broken is the one that is looked at
            return info, (), [*warnings, f"the GPUs cannot be read: {fault.message}"]

    def _rows(self) -> dict[str, JsonObject]:
        queues = self._service.queues()
        return {
            worker.id: instance_object(worker, queues[pool.model].waiting)
            for pool in self._service.pools()
            for worker in pool.workers
        }

    def _row(self, instance_id: str) -> JsonObject:
        rows = self._rows()
        if instance_id not in rows:
            known = shown(", ".join(rows), _MAX_IDS_CHARS) or "none"
            raise NotFoundError(
                f"there is no instance '{shown(instance_id)}'; there are: {known}",
                param="instance_id",
            )
        return rows[instance_id]

    def _only_pool(self) -> str:
        names = list(dict.fromkeys(str(row["pool"]) for row in self._rows().values()))
        if len(names) != 1:
            raise ParameterError(
                f"pool: say which one; there are: {shown(', '.join(names), _MAX_IDS_CHARS)}",
                param="pool",
            )
        return names[0]


def _read_order(body: bytes) -> ScaleOrder:
    try:
        return ScaleOrder.model_validate_json(body)
    except ValidationError as error:
        # as FastAPI would have told it, had it read the body without a limit
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from None


def _scale_body() -> JsonObject:
    schema = ScaleOrder.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
