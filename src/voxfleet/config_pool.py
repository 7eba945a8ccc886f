"""Settings of one pool of workers, `[[pool]]`, and of all workers together.

What cannot work is refused here by name; whether it fits on this machine is the plan's to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

Precision = Literal["", "float32", "bfloat16", "float16", "int8"]

MOST_INSTANCES = 256
#: no machine has more, and `0-9999999999` shall not be counted out
_MOST_CORES = 4096
_NAME_LENGTH = 40
_DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?|GPU-[0-9A-Za-z-]+")
_CORES = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


def parse_cores(text: str) -> tuple[int, ...]:
    """Core numbers from `0-3,8`, in order and each once; raises ValueError."""
    cores: set[int] = set()
    for part in text.split(","):
        found = _CORES.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last or last >= _MOST_CORES:
            raise ValueError("name cores as in 0-3,8")
        cores.update(range(first, last + 1))
    return tuple(sorted(cores))


def _checked_cores(text: str) -> str:
    parse_cores(text)
    return text


def _checked_device(name: str) -> str:
    if not _DEVICE.fullmatch(name):
        raise ValueError("use cpu, cuda (every card), cuda:0 and so on, or GPU-<uuid>")
    return name


def _checked_environment(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise ValueError(f"{name!r} cannot be set in an environment")
        if name == "CUDA_VISIBLE_DEVICES":
            raise ValueError("CUDA_VISIBLE_DEVICES is set by the plan; write device or devices")
        if name.lstrip("_").upper().startswith("VOXFLEET_"):
            raise ValueError(f"{name} is voxfleet's own; workers are told their settings otherwise")
    return variables


def _checked_word(word: str) -> str:
    if not word.strip():
        raise ValueError("a hotword must not be empty")
    return word


def split_list(value: object) -> object:
    """A list as the environment and flags have it: with commas."""
    if not isinstance(value, str):
        return value
    return [part for part in value.split(",") if part.strip()]


Device = Annotated[str, AfterValidator(_checked_device)]
Hotword = Annotated[str, AfterValidator(_checked_word)]
GibFree = Annotated[float, Field(ge=0)]


class PoolSection(Section):
    """Workers of one model on like devices; `name` is filled in by `with_names`."""

    name: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9-]*)?$",
        max_length=_NAME_LENGTH,
        description="What the pool is called, in letters, digits and -; by default by its model.",
    )
    model: str = Field(description="Model name or directory.")
    device: Device = Field(
        default="cpu",
        description="`cpu`, `cuda:0`, `cuda` for every card, or `GPU-` and the rest of a UUID.",
    )
    devices: tuple[Device, ...] = Field(
        default=(), description="Several cards instead of `device`; instances are spread evenly."
    )
    instances: int = Field(
        default=1,
        ge=1,
        le=MOST_INSTANCES,
        description="Worker processes on all its devices together; the smallest where autoscaled.",
    )
    min_instances: int | None = Field(
        default=None,
        ge=1,
        le=MOST_INSTANCES,
        description="Fewest instances; with `max_instances`, their number follows the load.",
    )
    max_instances: int | None = Field(
        default=None, ge=1, le=MOST_INSTANCES, description="Most instances."
    )
    precision: Precision = Field(
        default="",
        description="Numbers the model computes with; empty chooses the fastest safe ones.",
    )
    batch_size_s: float | None = Field(
        default=None,
        gt=0,
        description="Most seconds of sound in a batch, padding included; unset, it is learned.",
    )
    max_segment_s: float | None = Field(
        default=None, ge=1, le=60, description="Longest piece; unset, `audio.max_segment_s`."
    )
    weight: float = Field(
        default=1, gt=0, description="Its share of the work among pools of the same model."
    )
    env: Annotated[dict[str, str], AfterValidator(_checked_environment)] = Field(
        default={}, description="More environment variables for its workers."
    )
    hotwords: tuple[Hotword, ...] = Field(
        default=(), description="Words to expect where a request names none."
    )
    cores: Annotated[str, AfterValidator(_checked_cores)] | None = Field(
        default=None, description="CPU cores of its workers, as in `0-3,8`; unset, by the plan."
    )
    memory_mb: int | None = Field(
        default=None, ge=1, description="Memory one instance needs, in MiB; unset, an estimate."
    )

    @model_validator(mode="before")
    @classmethod
    def _start_at_the_fewest(cls, given: object) -> object:
        if isinstance(given, Mapping) and "instances" not in given:
            fewest = given.get("min_instances")
            return {**given, "instances": fewest} if isinstance(fewest, int) else given
        return given

    @model_validator(mode="after")
    def _one_way_to_name_devices(self) -> Self:
        if self.devices and "device" in self.model_fields_set:
            raise ValueError("device and devices are both given; keep one of them")
        if len(set(self.devices)) < len(self.devices):
            raise ValueError("devices names one twice; raise instances to put more on it")
        if "cpu" in self.devices and len(self.devices) > 1:
            raise ValueError("devices has cpu beside cards; make two pools of them")
        if "cuda" in self.devices and len(self.devices) > 1:
            raise ValueError("devices has cuda, which is every card; leave the others out")
        return self

    @model_validator(mode="after")
    def _bounds_hold(self) -> Self:
        low, high = self.min_instances, self.max_instances
        if low is None and high is None:
            return self
        if low is None or high is None:
            raise ValueError("min_instances and max_instances go together; give both or neither")
        if low > high:
            raise ValueError(f"min_instances {low} is above max_instances {high}")
        if not low <= self.instances <= high:
            raise ValueError(f"instances {self.instances} is not between {low} and {high}")
        return self

    @property
    def all_devices(self) -> tuple[str, ...]:
        return self.devices or (self.device,)

    @property
    def autoscaled(self) -> bool:
        return self.min_instances != self.max_instances

    @property
    def most_instances(self) -> int:
        return self.max_instances or self.instances

    @property
    def core_numbers(self) -> tuple[int, ...]:
        """The cores asked for; none where the plan may choose."""
        return parse_cores(self.cores) if self.cores else ()


def with_names(pools: Sequence[PoolSection]) -> tuple[PoolSection, ...]:
    """The pools with a name each; raises ValueError where two were given the same."""
    taken: set[str] = set()
    for pool in pools:
        if pool.name in taken:
            raise ValueError(f"two pools are named {pool.name!r}; name them differently")
        taken |= {pool.name} - {""}
    named = []
    for pool in pools:
        name = pool.name or _free_name(pool.model, taken)
        taken.add(name)
        named.append(pool.model_copy(update={"name": name}))
    return tuple(named)


def _free_name(model: str, taken: set[str]) -> str:
    last = re.sub(r"[^A-Za-z0-9]+", "-", model.rstrip("/").rpartition("/")[2])
    stem = last[:_NAME_LENGTH].strip("-") or "pool"
    name, number = stem, 1
    while name in taken:
        number += 1
        # a name that was cut off still leaves room for its number
        name = f"{stem[: _NAME_LENGTH - 4].rstrip('-')}-{number}"
    return name


class AutoscaleSection(Section):
    """Of pools that have `min_instances` and `max_instances`."""

    up_delay_s: float = Field(
        default=15, ge=0, description="How long it must be slow before an instance is added."
    )
    down_delay_s: float = Field(
        default=300, ge=0, description="How long it must be idle before an instance is taken away."
    )
    target_wait_s: float = Field(
        default=5, gt=0, description="Wait in the queue above which instances are added."
    )
    interval_s: float = Field(default=5, gt=0, description="Time between two looks at the load.")


class FleetSection(Section):
    simulated_gpus: Annotated[tuple[GibFree, ...], BeforeValidator(split_list)] = Field(
        default=(), description="For tests: cards that are not there, by the GiB free on each."
    )
    reserve_mb: int = Field(default=512, ge=0, description="Memory left free on each card, in MiB.")
    restart_failed_after_s: float = Field(
        default=300,
        gt=0,
        description="A worker that was given up is tried again after so long.",
    )
