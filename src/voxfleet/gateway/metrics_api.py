"""`GET /metrics`: all that this server measures, for Prometheus.

The service is looked at by the loop, whose it is; the page is made in a thread. Knows no metric.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from fastapi import APIRouter
from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.responses import Response

from voxfleet.gateway.api_schemas import GatewaySettings, SpeechService
from voxfleet.gateway.readiness import Readiness
from voxfleet.observe.machine_metrics import MachineMetrics
from voxfleet.observe.metric_families import FleetLook, fleet_families
from voxfleet.observe.metrics import Metrics
from voxfleet.pool_contract import GpuSnapshot


class MetricsApi:
    def __init__(
        self,
        service: SpeechService,
        settings: GatewaySettings,
        metrics: Metrics,
        readiness: Readiness,
    ) -> None:
        self._service = service
        self._readiness = readiness
        self._version = settings.version
        self._metrics = metrics
        folder = settings.data_dir or settings.upload_dir.parent
        self._machine = MachineMetrics(self._gpus, folder)

    def router(self) -> APIRouter:
        router = APIRouter(tags=["probes"])
        router.add_api_route("/metrics", self.metrics, methods=["GET"], response_class=Response)
        return router

    async def metrics(self, request: Request) -> Response:
        """Counters, gauges and histograms in Prometheus' text format, or in OpenMetrics."""
        accept = request.headers.get("accept", "")
        page, content_type = await asyncio.to_thread(self._page, accept, self._look())
        return Response(page, headers={"content-type": content_type})

    def _gpus(self) -> tuple[GpuSnapshot, ...]:
        return self._service.fleet.gpus()

    def _page(self, accept: str, look: FleetLook) -> tuple[bytes, str]:
        return self._metrics.page(accept, self._families(look))

    def _families(self, look: FleetLook) -> Iterator[Metric]:
        yield from fleet_families(look)
        workers = [worker for pool in look.pools for worker in pool.workers]
        yield from self._machine.families(workers)

    def _look(self) -> FleetLook:
        texts = self._service.text_pool()
        pools = self._service.pools()
        return FleetLook(
            pools=(*pools, texts) if texts else pools,
            queues=self._service.queues(),
            requests=self._service.queue().requests,
            ready=not self._readiness.reason(),
            version=self._version,
        )
