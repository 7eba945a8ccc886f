"""Settings: one typed schema, its defaults, and what each is for.

Each default lives here, and a test holds the parts' own to it; parts receive only their section.
Knows neither where values come from (`config_sources`) nor what they are used for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from voxfleet.config_pool import (
    MOST_INSTANCES,
    AutoscaleSection,
    Device,
    FleetSection,
    PoolSection,
    Precision,
    Section,
    with_names,
)
from voxfleet.config_realtime import RealtimeSection
from voxfleet.config_server import HomePath, LogSection, ServerSection, TracesSection
from voxfleet.core import VadMode

#: what makes one pool without a table for it, and so cannot stand beside one
SHORT_WAY = ("model", "instances", "device", "precision")
#: the only setting that is a list of tables
POOL_KEY = "pool"


def _default_data_dir() -> Path:
    root = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(root) / "voxfleet"


def _spare_cores() -> int:
    """Cores for decoding: all but one, which the gateway and the model share."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class AudioSection(Section):
    vad: VadMode = Field(
        default=VadMode.AUTO,
        description="Speech detection where a request names none: auto, fsmn, silero, energy, off.",
    )
    fsmn_dir: HomePath | None = Field(
        default=None, description="Folder of the fsmn-vad model (an ONNX file and am.mvn)."
    )
    max_segment_s: float = Field(
        default=30,
        ge=1,
        le=60,
        description="Longest piece of speech; longer is cut at the quietest point.",
    )
    min_silence_s: float = Field(
        default=0.5, ge=0, description="A shorter silence does not separate two pieces of speech."
    )
    padding_s: float = Field(
        default=0.2, ge=0, le=2, description="Sound kept before and after each piece of speech."
    )
    merge_below_s: float = Field(
        default=2.0, ge=0, description="Pieces shorter than this are joined with a near neighbour."
    )

    @model_validator(mode="after")
    def _fsmn_has_its_files(self) -> Self:
        if self.vad is VadMode.FSMN and self.fsmn_dir is None:
            raise ValueError("vad fsmn needs fsmn_dir, the folder of its model; or set vad to auto")
        return self


class MediaSection(Section):
    processes: int = Field(
        default_factory=_spare_cores,
        ge=1,
        description="Decoding processes; by default one per core but one.",
    )
    slice_s: float = Field(
        default=30, ge=1, description="Most sound decoded of one file before another has its turn."
    )
    decode_timeout_s: float = Field(
        default=600, gt=0, description="Working time allowed per started hour of a file's sound."
    )
    step_timeout_s: float = Field(
        default=30,
        gt=0,
        description="A decoder silent for so long is ended, and its file tried once more.",
    )
    max_audio_hours: float = Field(
        default=24, gt=0, description="Longest recording accepted at all."
    )
    memory_limit_mb: int = Field(
        default=512,
        ge=64,
        description="Memory that decoding one file may take; beyond it the file fails.",
    )


class QueueSection(Section):
    max_waiting: int = Field(
        default=20,
        ge=0,
        description="Requests that may wait beside those in work; more are refused with 503.",
    )
    max_wait_s: float = Field(
        default=30,
        gt=0,
        description="Longest estimated wait; where it would be longer, the answer is 503.",
    )
    max_requests: int = Field(
        default=1000,
        ge=1,
        le=4000,
        description="Requests at once, in work and waiting; more get 503.",
    )
    batch_goal_s: float = Field(
        default=3,
        gt=0,
        description="Longest a batch should compute where batch_size_s is automatic.",
    )


class WorkerSection(Section):
    start_timeout_s: float = Field(
        default=300, gt=0, description="Time allowed for a model to load and warm up."
    )
    min_batch_timeout_s: float = Field(
        default=10,
        gt=0,
        description="A worker that shows no progress for this time, or 4x the predicted one if"
        " longer, is called hung.",
    )


class PunctuationSection(Section):
    dir: HomePath | None = Field(
        default=None, description="Folder of the ct-punc model; without it no marks are added."
    )
    device: str = Field(default="cpu", description="Where punctuation runs, such as `cpu`.")


class ItnSection(Section):
    enabled: bool = Field(
        default=False,
        description="Whether requests may ask for digits (`itn=true`); needs `voxfleet[itn]`.",
    )
    language: Literal["auto", "en", "zh"] = Field(
        default="auto", description="Grammar for numbers; auto tells Chinese by its characters."
    )


class FakeSection(Section):
    speed: float = Field(
        default=1000, gt=0, description="Model `fake`: audio seconds recognised per second."
    )
    fixed_s: float = Field(
        default=0, ge=0, description="Model `fake`: seconds every batch takes besides."
    )
    load_s: float = Field(default=0, ge=0, description="Model `fake`: seconds that loading takes.")
    memory_mb: int = Field(default=0, ge=0, description="Model `fake`: memory it really takes.")
    out_of_memory_above_s: float = Field(
        default=0,
        ge=0,
        description="Model `fake`: padded seconds beyond which memory runs out; 0 is never.",
    )
    fault: str = Field(
        default="",
        description="Model `fake`: a fault to play, such as `crash`, and when; see the text below.",
    )


class Settings(Section):
    """Everything that can be set; made by `config_sources.load_settings`."""

    data_dir: HomePath = Field(
        default_factory=_default_data_dir,
        description="Folder of everything that is kept; one server each.",
    )
    model: str = Field(
        default="",
        description="Model name or directory; empty chooses the best one that is present.",
    )
    instances: int = Field(
        default=1,
        ge=1,
        le=MOST_INSTANCES,
        description="Worker processes, each with its own model.",
    )
    device: Device = Field(
        default="cpu", description="Where the model runs: `cpu`, `cuda` (every card), `cuda:0`, ..."
    )
    precision: Precision = Field(
        default="",
        description="Numbers the model computes with; empty chooses the fastest safe ones.",
    )
    server: ServerSection = ServerSection()
    audio: AudioSection = AudioSection()
    media: MediaSection = MediaSection()
    queue: QueueSection = QueueSection()
    worker: WorkerSection = WorkerSection()
    fleet: FleetSection = FleetSection()
    autoscale: AutoscaleSection = AutoscaleSection()
    realtime: RealtimeSection = RealtimeSection()
    punctuation: PunctuationSection = PunctuationSection()
    itn: ItnSection = ItnSection()
    log: LogSection = LogSection()
    traces: TracesSection = TracesSection()
    fake: FakeSection = FakeSection()
    pool: Annotated[tuple[PoolSection, ...], AfterValidator(with_names)] = Field(
        default=(), description="Pools of workers, each a table that begins with `[[pool]]`."
    )


def pools_of(settings: Settings, found_model: str = "") -> tuple[PoolSection, ...]:
    """The pools there shall be, at least one; `found_model` is what an empty model stands for."""
    short = PoolSection(**{name: getattr(settings, name) for name in SHORT_WAY})
    return with_names(
        [
            pool if pool.model else pool.model_copy(update={"model": found_model})
            for pool in settings.pool or (short,)
        ]
    )


def setting_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every dotted key there is, such as `server.port`, in the order of the schema.

    Pools are not among them: they are many, and their keys are `pool_keys`.
    """
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from setting_keys(kind, f"{prefix}{name}.")
        elif prefix + name != POOL_KEY:
            yield prefix + name


def pool_keys() -> tuple[str, ...]:
    return tuple(PoolSection.model_fields)


def setting_value(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
