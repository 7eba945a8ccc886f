"""What the machine has just now, read whole: cards, cores and free memory. Every call blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from voxfleet.fleet.device_env import VISIBLE
from voxfleet.fleet.devices import (
    DeviceProbe,
    cores_are_ours,
    free_cpu_memory_mb,
    usable_cores,
)
from voxfleet.fleet.plan import Machine, WorkerPlan
from voxfleet.pool_contract import GpuSnapshot


class MachineReader:
    def __init__(self, probe: DeviceProbe, reserve_mb: int) -> None:
        self._probe = probe
        self._reserve_mb = reserve_mb

    def gpus(self) -> tuple[GpuSnapshot, ...]:
        return self._probe.gpus()

    def read(self, running: Sequence[WorkerPlan] = ()) -> Machine:
        """As if none of the `running` workers took anything."""
        machine = Machine(
            gpus=self._probe.gpus(),
            cores=usable_cores(),
            free_cpu_mb=free_cpu_memory_mb(),
            visible=os.environ.get(VISIBLE),
            reserve_mb=self._reserve_mb,
            own_cores=cores_are_ours(),
        )
        return machine.with_back(running, of_cards=self._probe.measures_workers)
