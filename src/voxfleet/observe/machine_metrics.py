"""What a scrape tells of the machine: its cards, its disk, the memory of the workers' processes.

Blocks for moments, so it is asked in a thread. Knows no service.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prometheus_client.metrics_core import Metric

from voxfleet.errors import VoxfleetError
from voxfleet.observe.metric_families import disk_family, gpu_families, memory_family
from voxfleet.observe.system_info import read_disk
from voxfleet.pool_contract import GpuSnapshot, WorkerSnapshot

_log = logging.getLogger(__name__)
#: drivers take tenths of a second to answer, and several may scrape
_GPU_AGE_S = 5.0
_BYTES_PER_MB = 1_000_000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class MachineMetrics:
    """`gpus` may block and may raise VoxfleetError; `folder` is whose disk is told of."""

    def __init__(
        self,
        gpus: Callable[[], Sequence[GpuSnapshot]],
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        proc: Path = Path("/proc"),
    ) -> None:
        self._gpus = gpus
        self._folder = folder
        self._clock = clock
        self._proc = proc
        self._lock = threading.Lock()
        self._cards: tuple[GpuSnapshot, ...] = ()
        self._read_at_s: float | None = None

    def families(self, workers: Sequence[WorkerSnapshot]) -> Iterator[Metric]:
        yield from gpu_families(self._cards_now())
        disk = read_disk(self._folder)
        yield disk_family(None if disk is None else disk.free_mb * _BYTES_PER_MB)
        sizes = ((worker, self._resident_bytes(worker.pid)) for worker in workers)
        yield memory_family([(worker, size) for worker, size in sizes if size is not None])

    def _cards_now(self) -> tuple[GpuSnapshot, ...]:
        with self._lock:
            now_s = self._clock()
            if self._read_at_s is None or now_s - self._read_at_s >= _GPU_AGE_S:
                self._cards = self._read_cards()
                self._read_at_s = self._clock()
            return self._cards

    def _read_cards(self) -> tuple[GpuSnapshot, ...]:
        try:
            return tuple(self._gpus())
        except VoxfleetError as fault:
            # a service whose workers nobody operates has none to tell of
            _log.debug("no figures of GPUs: %s", fault.message)
            return ()

    def _resident_bytes(self, pid: int | None) -> int | None:
        """None where there is no such process, or no /proc."""
        try:
            pages = (self._proc / str(pid) / "statm").read_text().split()[1]
        except (OSError, IndexError):
            return None
        return int(pages) * _PAGE_BYTES
