"""One worker of a pool with all that is known of it: its spec, its life, its pace. Pure.

Workers of one pool on like devices share a pace: what one has learned holds for the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voxfleet.core import Batch
from voxfleet.fleet.credit import Credit
from voxfleet.fleet.pace_meter import PaceMeter
from voxfleet.fleet.worker_slot import WorkerSlot
from voxfleet.fleet.worker_spec import WorkerSpec
from voxfleet.pool_contract import TimeModel, WorkerSnapshot, WorkerState
from voxfleet.wire.messages import Recognised


class Paces:
    """The pace meters of a model's workers, one for each pool and device."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, str], PaceMeter] = {}

    def of(self, spec: WorkerSpec) -> PaceMeter:
        return self._meters.setdefault((spec.pool, spec.device_key), PaceMeter())

    @property
    def last_rate(self) -> float | None:
        rates = (meter.rate for meter in self._meters.values())
        return max((rate for rate in rates if rate is not None), default=None)


@dataclass(slots=True)
class Member:
    spec: WorkerSpec
    slot: WorkerSlot
    meter: PaceMeter
    leaving: bool = False
    credit: Credit = field(init=False)

    def __post_init__(self) -> None:
        self.credit = Credit(self.spec.credit)

    @property
    def ready(self) -> bool:
        return self.slot.state is WorkerState.READY

    def pace(self, guessed_rate: float) -> TimeModel:
        return self.meter.model(guessed_rate)

    def observe(self, batch: Batch, message: Recognised, guessed_rate: float) -> None:
        """A batch has been finished."""
        audio_s = sum(segment.duration_s for segment in batch.segments)
        self.slot.count(batch, message.compute_s, message.out_of_memory)
        if message.out_of_memory:
            # what it took was spent on trying: it measures nothing
            self.credit.out_of_memory(batch.padded_s)
            return
        self.meter.observe(audio_s, batch.padded_s, message.compute_s)
        self.credit.good_batch(self.pace(guessed_rate))

    def snapshot(self, model: str, guessed_rate: float | None) -> WorkerSnapshot:
        """`guessed_rate` is None until the model has said what it can do."""
        credit_s = self.credit.now_s(self.pace(guessed_rate)) if guessed_rate else 0.0
        return self.slot.snapshot(model, self.spec.device, credit_s)
