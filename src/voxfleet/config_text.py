"""The settings as text that is a valid settings file again, each value with where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from voxfleet.config import POOL_KEY, SHORT_WAY, pool_keys, setting_keys, setting_value
from voxfleet.config_pool import PoolSection
from voxfleet.config_sources import Source, origin, settled


def settings_as_toml(sources: tuple[Source, ...]) -> str:
    """Every setting in the order of the schema; raises SettingsError when they are not valid."""
    settings = settled(sources)
    lines: list[str] = []
    section = ""
    for key in setting_keys():
        *parents, name = key.split(".")
        if ".".join(parents) != section:
            section = ".".join(parents)
            lines += ["", f"[{section}]"]
        if settings.pool and key in SHORT_WAY:
            lines.append(f"# {name} is set by each pool")
        else:
            lines.append(_line(name, setting_value(settings, key), origin(key, sources)))
    for number, pool in enumerate(settings.pool):
        lines += ["", f"[[{POOL_KEY}]]", *_pool_lines(pool, number, sources)]
    return "\n".join(lines) + "\n"


def _pool_lines(pool: PoolSection, number: int, sources: tuple[Source, ...]) -> list[str]:
    source = origin(POOL_KEY, sources)
    tables = next(source.values[POOL_KEY] for source in sources if POOL_KEY in source.values)
    written: object = tables[number] if isinstance(tables, list) else {}
    given = written if isinstance(written, Mapping) else {}
    # the one that is not in use could not be read back beside the other
    unused = "device" if pool.devices else "devices"
    return [
        _line(key, getattr(pool, key), source if key in given else "default")
        for key in pool_keys()
        if key != unused
    ]


def _line(name: str, value: object, source: str) -> str:
    if value is None:
        return f"# {name} is not set"
    return f"{name} = {_toml_value(value)}  # {source}"


def _toml_value(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = [f"{_toml_value(key)} = {_toml_value(inner)}" for key, inner in value.items()]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(value, Path | StrEnum):
        value = str(value)
    # for strings, numbers, booleans and lists of them TOML and JSON are spelled alike, but for DEL
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
