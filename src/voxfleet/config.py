"""Settings: one typed schema, its defaults, and what each is for.

Each default lives here, and a test holds the parts' own to it; parts receive only their section.
Knows neither where values come from (`config_sources`) nor what they are used for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from voxfleet.core import VadMode

#: a path as people write it, ~ included
HomePath = Annotated[Path, AfterValidator(Path.expanduser)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _default_data_dir() -> Path:
    root = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(root) / "voxfleet"


def _spare_cores() -> int:
    """Cores for decoding: all but one, which the gateway and the model share."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class ServerSection(Section):
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=7860, ge=0, le=65535, description="Port to listen on; 0 takes any free one."
    )
    request_timeout_s: float = Field(
        default=300,
        gt=0,
        description="Time allowed for one request; longer files are refused early.",
    )
    max_upload_mb: int = Field(default=1000, ge=1, description="Largest upload in MB (10^6 bytes).")
    shutdown_grace_s: float = Field(
        default=30, ge=0, description="How long requests in work may finish after a stop signal."
    )


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


class WorkerSection(Section):
    start_timeout_s: float = Field(
        default=300, gt=0, description="Time allowed for a model to load and warm up."
    )
    min_batch_timeout_s: float = Field(
        default=60,
        gt=0,
        description="A worker is called hung after this time or 4x the predicted one, the longer.",
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


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or JSON objects."
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
        default=1, ge=1, le=256, description="Worker processes, each with its own model."
    )
    device: str = Field(default="cpu", description="Where the model runs: `cpu`, `cuda:0`, ...")
    precision: Literal["", "float32", "bfloat16", "float16", "int8"] = Field(
        default="",
        description="Numbers the model computes with; empty chooses the fastest safe ones.",
    )
    server: ServerSection = ServerSection()
    audio: AudioSection = AudioSection()
    media: MediaSection = MediaSection()
    queue: QueueSection = QueueSection()
    worker: WorkerSection = WorkerSection()
    punctuation: PunctuationSection = PunctuationSection()
    itn: ItnSection = ItnSection()
    log: LogSection = LogSection()
    fake: FakeSection = FakeSection()


def setting_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every dotted key there is, such as `server.port`, in the order of the schema."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from setting_keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def setting_value(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
