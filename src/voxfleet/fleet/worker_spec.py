"""One worker as it is to be: what it runs, where, and how much it is sent at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voxfleet.engines.catalog import EngineOptions
from voxfleet.fleet.credit import CreditRule


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """`device` is its name for operators, `device_key` that of the card, equal for all who share
    it and empty on a CPU; `weight` its pool's share of the work of one model.
    """

    id: str
    pool: str
    options: EngineOptions
    device: str = "cpu"
    device_key: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    weight: float = 1.0
    credit: CreditRule = field(default_factory=CreditRule)
