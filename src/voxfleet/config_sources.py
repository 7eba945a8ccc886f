"""Where settings come from: flags over environment over a TOML file over defaults, read once.

An unknown key is refused with its nearest neighbour named. Knows no setting but `pool` by name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from voxfleet.config import POOL_KEY, SHORT_WAY, Settings, pool_keys, setting_keys
from voxfleet.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

ENV_PREFIX = "VOXFLEET_"
ENV_DELIMITER = "__"
#: how the environment is called as the origin of a setting
ENVIRONMENT = "environment"
#: variables with our prefix that are no settings: the file to read, the recordings for tests of
#: this project, and the key that `voxfleet listen` sends
_NOT_SETTINGS = frozenset({"VOXFLEET_CONFIG", "VOXFLEET_SPEECH_DIR", "VOXFLEET_API_KEY"})
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
    _refuse_both_ways(sources)
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
        ENVIRONMENT,
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


def _refuse_both_ways(sources: tuple[Source, ...]) -> None:
    """One pool by single settings, or pools by their tables: both together would be a riddle."""
    if origin(POOL_KEY, sources) == "default":
        return
    for key in SHORT_WAY:
        if (place := origin(key, sources)) != "default":
            raise SettingsError(
                f"{place}: {key} cannot be set beside the [[pool]] tables of"
                f" {origin(POOL_KEY, sources)}; write {key} into a pool, or take the pools out",
                param=key,
            )


def _refuse_unknown(key: str, source: Source) -> None:
    if key.split(".")[0] == POOL_KEY:
        _refuse_pools_in_the_wrong_place(key, source)
        return
    known = [*setting_keys(), POOL_KEY]
    if key in known:
        return
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    # a key in the wrong section has the right last name
    near = near or [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    advice = f"did you mean {near[0]!r}?" if near else "see docs/settings.md"
    raise SettingsError(f"{source.name}: unknown setting {key!r}; {advice}", param=key)


def _refuse_pools_in_the_wrong_place(key: str, source: Source) -> None:
    if source.name == ENVIRONMENT:
        raise SettingsError(
            f"{source.name}: pools cannot be set by variables; write [[pool]] tables into the"
            " settings file (--config, VOXFLEET_CONFIG)",
            param=POOL_KEY,
        )
    tables = source.values.get(key)
    if key != POOL_KEY or not isinstance(tables, list) or not all(map(_is_table, tables)):
        raise SettingsError(
            f"{source.name}: {key}: every pool is a table of its own that begins with [[pool]]",
            param=POOL_KEY,
        )


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _explained(fault: ValidationError, sources: tuple[Source, ...]) -> SettingsError:
    first = fault.errors()[0]
    if len(first["loc"]) > 1 and first["loc"][0] == POOL_KEY:
        return _pool_explained(first, sources)
    key = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    message = first["msg"].removeprefix("Value error, ")
    if key in setting_keys():
        message = f"{origin(key, sources)}: {key} = {first['input']!r}: {_uncapitalised(message)}"
    else:
        # a fault of a whole section, or of all pools: their values do not suit each other
        message = f"{key}: {message}"
    return SettingsError(message, param=key)


def _pool_explained(fault: ErrorDetails, sources: tuple[Source, ...]) -> SettingsError:
    _, number, *path = fault["loc"]
    place = f"{origin(POOL_KEY, sources)}: {_pool_label(int(number), sources)}"
    # a place in a list is left out: the value itself is shown
    key = ".".join(part for part in path if isinstance(part, str))
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(key, pool_keys(), n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(pool_keys())}"
        message = f"unknown setting {key!r}; {advice}"
    elif fault["type"] == "missing":
        message = f"{key} is missing"
    elif key:
        message = f"{key} = {fault['input']!r}: {_uncapitalised(message)}"
    return SettingsError(f"{place}: {message}", param=f"{POOL_KEY}.{key}".rstrip("."))


def _pool_label(number: int, sources: tuple[Source, ...]) -> str:
    tables = next(source.values[POOL_KEY] for source in sources if POOL_KEY in source.values)
    table = tables[number] if isinstance(tables, list) else {}
    name = table.get("name") if isinstance(table, Mapping) else None
    return f"pool {name!r}" if isinstance(name, str) and name else f"pool {number + 1}"


def _uncapitalised(message: str) -> str:
    """Only pydantic's own first word, which has one capital: CUDA_VISIBLE_DEVICES stays."""
    return message[:1].lower() + message[1:] if message[1:2].islower() else message
