"""YAML and JSON files of model directories as plain dictionaries; hostile ones are refused by name.

Knows no key of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import yaml

from voxfleet.errors import StartError

#: the largest published one, with a vocabulary of 272,727 pieces inside, has 2.8 MB
MAX_CONFIG_BYTES = 16 * 2**20
#: published ones are four deep; the parsers recurse
_MAX_DEPTH = 32
_REMEDY = "download the model again"


def read_yaml(path: Path) -> dict[str, object]:
    text = _read_text(path)
    try:
        _check_yaml(text)
        # the safe loader builds plain data only, in C for the sake of long vocabularies
        content: object = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as fault:
        raise _refused(path, f"is no valid YAML ({_one_line(fault)})") from fault
    return _mapping(path, content)


def read_json(path: Path) -> dict[str, object]:
    try:
        content: object = json.loads(_read_text(path))
    except (ValueError, RecursionError) as fault:
        raise _refused(path, f"is no valid JSON ({_one_line(fault)})") from fault
    return _mapping(path, content)


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise _refused(path, "is not a file")
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as fault:
        raise StartError(
            f"{path} cannot be read ({fault.strerror}): correct path and permissions"
        ) from fault
    if len(content) > MAX_CONFIG_BYTES:
        raise _refused(path, f"is over {MAX_CONFIG_BYTES >> 20} MB, more than any configuration")
    if content.startswith(b"version https://git-lfs"):
        raise _refused(path, "is a Git LFS pointer, not the file itself", "run git lfs pull, or ")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise _refused(path, f"is not UTF-8 at byte {fault.start}") from fault


def _check_yaml(text: str) -> None:
    """Before anything is built: a few hundred bytes of aliases can stand for gigabytes."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has aliases, which no published configuration has")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _mapping(path: Path, content: object) -> dict[str, object]:
    if not isinstance(content, dict):
        raise _refused(path, "holds no keys and values")
    if not all(isinstance(key, str) for key in content):
        raise _refused(path, "has a key that is no text")
    return cast("dict[str, object]", content)


def _refused(path: Path, fault: str, first: str = "") -> StartError:
    return StartError(f"{path} {fault}: {first}{_REMEDY}")


def _one_line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200]
