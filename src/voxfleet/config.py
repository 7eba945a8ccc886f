"""Settings: one typed schema, read once from flags, environment, TOML file and defaults.

Each default lives here and nowhere else; parts receive only their section. Knows nothing of what
the settings are used for. An unknown key is refused with its nearest neighbour named.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxfleet.core import VadMode
from voxfleet.errors import SettingsError

ENV_PREFIX = "VOXFLEET_"
ENV_DELIMITER = "__"
#: variables with our prefix that are no settings: the file to read, and the recordings for tests
_NOT_SETTINGS = frozenset({"VOXFLEET_CONFIG", "VOXFLEET_SPEECH_DIR"})
#: Kubernetes puts these into every pod that runs beside a Service called "voxfleet"
_KUBERNETES_LINK = re.compile(r"VOXFLEET_(SERVICE_(HOST|PORT)(_.*)?|PORT(_\d+_.*)?)")


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
    fsmn_dir: Path | None = Field(
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
        description="Memory a decoding process may take for its work; beyond it its file fails.",
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
    """Everything that can be set; `load_settings` is the only way to make one."""

    data_dir: Path = Field(
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
    device: str = Field(default="cpu", description="Where the model runs, such as `cpu`.")
    server: ServerSection = ServerSection()
    audio: AudioSection = AudioSection()
    media: MediaSection = MediaSection()
    queue: QueueSection = QueueSection()
    worker: WorkerSection = WorkerSection()
    log: LogSection = LogSection()
    fake: FakeSection = FakeSection()


@dataclass(frozen=True, slots=True)
class Source:
    """One place that settings came from; `values` maps dotted keys to what was written there."""

    name: str
    values: Mapping[str, object]


def load_settings(
    flags: Mapping[str, object], environment: Mapping[str, str], config_file: Path | None = None
) -> Settings:
    """Merge flags over environment over file over defaults; raises SettingsError."""
    return settled(read_sources(flags, environment, config_file))


def read_sources(
    flags: Mapping[str, object], environment: Mapping[str, str], config_file: Path | None = None
) -> tuple[Source, ...]:
    """All that was set, strongest first. `flags` are dotted keys; None means not given."""
    given = Source("flag", {key: value for key, value in flags.items() if value is not None})
    file = _file_source(config_file) if config_file else Source("file", {})
    return (given, _environment_source(environment), file)


def settled(sources: tuple[Source, ...]) -> Settings:
    """The settings those sources make; raises SettingsError naming key, fault and source."""
    merged: dict[str, object] = {}
    for source in reversed(sources):
        for key in source.values:
            _refuse_unknown(key, source)
        merged.update(source.values)
    try:
        return Settings.model_validate(_nested(merged))
    except ValidationError as fault:
        raise _explained(fault, sources) from None


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


def origin(key: str, sources: tuple[Source, ...]) -> str:
    """Which source has the last word on a key."""
    return next((source.name for source in sources if key in source.values), "default")


def _file_source(path: Path) -> Source:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such settings file") from None
    except OSError as fault:
        raise SettingsError(f"{path}: cannot be read: {fault.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{path}: not valid TOML: {fault}") from None
    return Source(str(path), dict(_flat(tree)))


def _flat(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _environment_source(environment: Mapping[str, str]) -> Source:
    return Source(
        "environment",
        {
            name.removeprefix(ENV_PREFIX).lower().replace(ENV_DELIMITER, "."): value
            for name, value in environment.items()
            if name.startswith(ENV_PREFIX)
            and name not in _NOT_SETTINGS
            and not _KUBERNETES_LINK.fullmatch(name)
        },
    )


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            child = node.setdefault(section, {})
            assert isinstance(child, dict)  # noqa: S101  (unknown keys were refused before)
            node = child
        node[name] = value
    return tree


def _refuse_unknown(key: str, source: Source) -> None:
    known = list(setting_keys())
    if key in known:
        return
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    # a key in the wrong section has the right last name
    near = near or [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    advice = f"did you mean {near[0]!r}?" if near else "see docs/settings.md"
    raise SettingsError(f"{source.name}: unknown setting {key!r}; {advice}", param=key)


def _explained(fault: ValidationError, sources: tuple[Source, ...]) -> SettingsError:
    first = fault.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    text = f"{origin(key, sources)}: {key} = {first['input']!r}: {first['msg'].lower()}"
    return SettingsError(text, param=key)
