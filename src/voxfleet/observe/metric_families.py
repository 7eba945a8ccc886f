"""Snapshots of the fleet as families of samples for one scrape. Pure.

Two snapshots may speak of the same model, while a reload replaces one: they are told as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from voxfleet.observe import metric_declarations as declared
from voxfleet.observe.metric_declarations import MetricDeclaration, MetricKind
from voxfleet.pool_contract import (
    GpuSnapshot,
    PoolSnapshot,
    QueueSnapshot,
    RestartCause,
    RetryReason,
    WorkerSnapshot,
    WorkerState,
)

_BYTES_PER_MIB = 2**20

#: the values of a sample's labels, in the order of their declaration
Labels = TypeVar("Labels", bound=tuple[str, ...])


@dataclass(frozen=True, slots=True)
class FleetLook:
    """All that a scrape tells of the service, looked at in one moment."""

    pools: tuple[PoolSnapshot, ...]
    queues: Mapping[str, QueueSnapshot]
    requests: int
    ready: bool
    version: str


def fleet_families(look: FleetLook) -> Iterator[Metric]:
    yield _family(declared.BUILD_INFO, {(look.version,): 1.0})
    yield _family(declared.READY, {(): float(look.ready)})
    yield _family(declared.REQUESTS_ADMITTED, {(): float(look.requests)})
    yield from _model_families(look)
    workers = {
        (worker.pool or worker.model, worker.id): worker
        for pool in look.pools
        for worker in pool.workers
    }
    yield from _worker_families(workers)


def _model_families(look: FleetLook) -> Iterator[Metric]:
    queues = {(model,): queue for model, queue in look.queues.items()}
    rates: dict[tuple[str], float] = {}
    degraded: dict[tuple[str], float] = {}
    for pool in look.pools:
        model = (pool.model,)
        degraded[model] = max(degraded.get(model, 0.0), float(bool(pool.degraded)))
        if pool.rate is not None:
            rates[model] = rates.get(model, 0.0) + pool.rate
    yield _family(declared.QUEUE_SEGMENTS, {at: float(q.waiting) for at, q in queues.items()})
    yield _family(declared.QUEUE_SECONDS, {at: q.waiting_s for at, q in queues.items()})
    waits = {at: q.waiting_s / rates[at] for at, q in queues.items() if rates.get(at)}
    yield _family(declared.QUEUE_WAIT_SECONDS, waits)
    yield _family(
        declared.SEGMENT_RETRIES,
        {
            (*at, reason): float(queue.retries.get(reason, 0))
            for at, queue in queues.items()
            for reason in RetryReason
        },
    )
    yield _family(declared.REALTIME_FACTOR, rates)
    yield _family(declared.DEGRADED, degraded)


def _worker_families(workers: Mapping[tuple[str, str], WorkerSnapshot]) -> Iterator[Metric]:
    def each(declaration: MetricDeclaration, name: str) -> Metric:
        return _family(declaration, {at: getattr(row, name) for at, row in workers.items()})

    rows = workers.items()
    yield _family(declared.WORKER_INFO, {(*at, row.model, row.device): 1.0 for at, row in rows})
    yield _family(
        declared.WORKER_STATE,
        {(*at, state): float(row.state is state) for at, row in rows for state in WorkerState},
    )
    # also those that never were: whoever counts an increase needs the 0 before it
    restarts = {
        (*at, cause): float(row.restarts_by_cause.get(cause, 0))
        for at, row in rows
        for cause in RestartCause
    }
    yield _family(declared.WORKER_RESTARTS, restarts)
    yield each(declared.WORKER_BUSY, "busy")
    yield each(declared.WORKER_CREDIT, "credit_s")
    yield each(declared.OUT_OF_MEMORY, "out_of_memory")
    yield each(declared.BATCHES, "batches")
    yield each(declared.BATCH_SEGMENTS, "segments")
    yield each(declared.BATCH_AUDIO, "audio_s")
    yield each(declared.BATCH_PADDED, "padded_s")
    yield each(declared.BATCH_OFFERED, "offered_s")
    yield each(declared.BATCH_COMPUTE, "compute_s")


def memory_family(workers: Sequence[tuple[WorkerSnapshot, int]]) -> Metric:
    """Workers with the memory of their processes, in bytes."""
    samples = {(row.pool or row.model, row.id): float(size) for row, size in workers}
    return _family(declared.WORKER_MEMORY, samples)


def gpu_families(gpus: Sequence[GpuSnapshot]) -> Iterator[Metric]:
    cards = {(str(gpu.index), gpu.name): gpu for gpu in gpus}
    total = {at: float(g.memory_total_mb * _BYTES_PER_MIB) for at, g in cards.items()}
    used = {at: total[at] - g.memory_free_mb * _BYTES_PER_MIB for at, g in cards.items()}
    loads = {at: g.load_percent / 100 for at, g in cards.items() if g.load_percent is not None}
    heat = {at: float(g.temperature_c) for at, g in cards.items() if g.temperature_c is not None}
    yield _family(declared.GPU_MEMORY_TOTAL, total)
    yield _family(declared.GPU_MEMORY_USED, used)
    yield _family(declared.GPU_LOAD, loads)
    yield _family(declared.GPU_TEMPERATURE, heat)


def disk_family(free_bytes: int | None) -> Metric:
    return _family(declared.DISK_FREE, {} if free_bytes is None else {(): float(free_bytes)})


def _family(declaration: MetricDeclaration, samples: Mapping[Labels, float]) -> Metric:
    counts = declaration.kind is MetricKind.COUNTER
    kind = CounterMetricFamily if counts else GaugeMetricFamily
    family = kind(declaration.name, declaration.about, labels=declaration.labels)
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family
