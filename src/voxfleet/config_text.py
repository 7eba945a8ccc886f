"""The settings as text that is a valid settings file again, each value with where it came from."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

from voxfleet.config import setting_keys, setting_value
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
        lines.append(_line(name, setting_value(settings, key), origin(key, sources)))
    return "\n".join(lines) + "\n"


def _line(name: str, value: object, source: str) -> str:
    if value is None:
        return f"# {name} is not set"
    return f"{name} = {_toml_value(value)}  # {source}"


def _toml_value(value: object) -> str:
    if isinstance(value, Path | StrEnum):
        value = str(value)
    # for strings, numbers, booleans and lists of them TOML and JSON are spelled alike
    return json.dumps(value, ensure_ascii=False)
