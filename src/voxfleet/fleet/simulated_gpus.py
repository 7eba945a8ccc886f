"""Cards that are not there, so that plans and faults of cards can be tried on any machine. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from voxfleet.pool_contract import GpuSnapshot

_MIB_PER_GIB = 1024


class SimulatedProbe:
    """`free_gib` is what is free on each card; its workers take nothing of it."""

    measures_workers = False

    def __init__(self, free_gib: Sequence[float]) -> None:
        self._gpus = tuple(
            _simulated(index, round(size_gib * _MIB_PER_GIB))
            for index, size_gib in enumerate(free_gib)
        )

    def gpus(self) -> tuple[GpuSnapshot, ...]:
        return self._gpus


def _simulated(index: int, free_mb: int) -> GpuSnapshot:
    return GpuSnapshot(
        index=index,
        uuid=f"GPU-simulated-{index}",
        name="simulated card",
        # a full card is still one whose memory is known
        memory_total_mb=max(1, free_mb),
        memory_free_mb=free_mb,
        driver="simulated",
    )
