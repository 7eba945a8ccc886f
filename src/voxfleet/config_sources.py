"""Where settings come from: flags over environment over a TOML file over defaults, read once.

An unknown key is refused with its nearest neighbour named. Knows no setting by name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from voxfleet.config import Settings, setting_keys
from voxfleet.errors import SettingsError

ENV_PREFIX = "VOXFLEET_"
ENV_DELIMITER = "__"
#: variables with our prefix that are no settings: the file to read, and the recordings for tests
_NOT_SETTINGS = frozenset({"VOXFLEET_CONFIG", "VOXFLEET_SPEECH_DIR"})
#: Kubernetes puts these into every pod that runs beside a Service called "voxfleet"
_KUBERNETES_LINK = re.compile(
    r"VOXFLEET_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_\w+)=.*|VOXFLEET_PORT=\w+://.*"
)


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
            and not _KUBERNETES_LINK.fullmatch(f"{name}={value}")
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
    message = first["msg"].removeprefix("Value error, ")
    if key in setting_keys():
        message = f"{origin(key, sources)}: {key} = {first['input']!r}: {message.lower()}"
    else:
        # a fault of a whole section: its values do not suit each other
        message = f"{key}: {message}"
    return SettingsError(message, param=key)
