"""What this machine has: its NVIDIA cards as NVML tells them, its free memory, its usable cores.

Knows no worker. What a driver or a kernel does not tell is left out and is no error.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import pynvml

from voxfleet.fleet.cgroup_limits import cpu_quota, memory_left_mb
from voxfleet.pool_contract import GpuSnapshot

_MIB = 1 << 20
_T = TypeVar("_T")


class DeviceProbe(Protocol):
    @property
    def measures_workers(self) -> bool:
        """Whether the free memory it tells is less by what our own workers take."""
        ...

    def gpus(self) -> tuple[GpuSnapshot, ...]:
        """The cards there are now, by index; it may take some tenths of a second."""
        ...


class NvmlProbe:
    """Without a driver or its library there are no cards, until there are."""

    measures_workers = True

    def __init__(self) -> None:
        self._started = False

    def gpus(self) -> tuple[GpuSnapshot, ...]:
        if not self._start():
            return ()
        count = _told(pynvml.nvmlDeviceGetCount) or 0
        driver = _told(pynvml.nvmlSystemGetDriverVersion) or ""
        cards = (_card(index, driver) for index in range(count))
        return tuple(card for card in cards if card is not None)

    def _start(self) -> bool:
        if not self._started:
            try:
                pynvml.nvmlInit()
            except pynvml.NVMLError:
                return False
            self._started = True
        return True


def _card(index: int, driver: str) -> GpuSnapshot | None:
    """None for a card that has fallen off the bus or belongs to others."""
    handle = _told(lambda: pynvml.nvmlDeviceGetHandleByIndex(index))
    if handle is None:
        return None
    memory = _told(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    capability = _told(lambda: pynvml.nvmlDeviceGetCudaComputeCapability(handle))
    load = _told(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    return GpuSnapshot(
        index=index,
        uuid=_told(lambda: pynvml.nvmlDeviceGetUUID(handle)) or "",
        name=_told(lambda: pynvml.nvmlDeviceGetName(handle)) or "",
        # a total of 0 is memory that nobody tells: some cards share that of the machine
        memory_total_mb=memory.total // _MIB if memory else 0,
        memory_free_mb=memory.free // _MIB if memory else 0,
        driver=driver,
        capability=".".join(map(str, capability)) if capability else "",
        load_percent=load.gpu if load else None,
        temperature_c=_told(
            lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
        ),
    )


def _told(read: Callable[[], _T]) -> _T | None:
    try:
        return read()
    except pynvml.NVMLError:
        return None


def free_cpu_memory_mb(root: Path = Path("/")) -> int:
    """MiB that processes may still take, the limit of our cgroup included; 0 where nobody tells."""
    free = [left_mb for left_mb in (_available_mb(root), memory_left_mb(root)) if left_mb]
    return min(free, default=0)


def usable_cores(root: Path = Path("/")) -> tuple[int, ...]:
    """The cores we may run on, no more of them than our cgroup's quota of time is worth."""
    cores = sorted(os.sched_getaffinity(0))
    quota = cpu_quota(root)
    return tuple(cores if quota is None else cores[: max(1, round(quota))])


def cores_are_ours(root: Path = Path("/")) -> bool:
    """Whether workers may be bound to cores.

    Under a quota they are everybody's: containers that all bind to the first would crowd there.
    """
    quota = cpu_quota(root)
    return quota is None or quota >= len(os.sched_getaffinity(0))


def _available_mb(root: Path) -> int | None:
    try:
        lines = (root / "proc" / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return max(1, int(found[0]) // 1024) if found else None
