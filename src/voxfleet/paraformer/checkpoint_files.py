"""Which file of a published model directory is what. Reads names only, none of the contents.

Knows no configuration and no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from voxfleet.errors import StartError
from voxfleet.paraformer.config_file import read_json

_INDEX_NAME = "configuration.json"
_CONFIG_NAMES = ("config.yaml", "asr.yaml")
_WEIGHTS_NAMES = ("model.pt", "model.pb")
_CMVN_NAMES = ("am.mvn",)
_TOKENS_NAMES = ("tokens.json", "tokens.txt")
_SEG_DICT_NAMES = ("seg_dict",)
_REMEDY = "download the model again"


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """`tokens` is None where the configuration itself holds them."""

    config: Path
    weights: Path
    cmvn: Path
    tokens: Path | None
    seg_dict: Path | None


def is_checkpoint(folder: Path) -> bool:
    """A cheap look, not a promise: configuration and weights are there."""
    try:
        names = _index(folder)
        parts = (_config(folder, names), _weights(folder, names))
    except StartError:
        # of a checkpoint whose index is broken, reading it says what is wrong
        parts = (_first(folder, _CONFIG_NAMES), _first(folder, _WEIGHTS_NAMES))
    return all(part is not None for part in parts)


def find_files(folder: Path) -> CheckpointFiles:
    """By configuration.json where it is there, else by their usual names; raises StartError."""
    if not folder.is_dir():
        raise StartError(f"model folder {folder} does not exist: correct the path")
    names = _index(folder)
    return CheckpointFiles(
        config=_required(folder, _config(folder, names), _CONFIG_NAMES),
        weights=_required(folder, _weights(folder, names), _WEIGHTS_NAMES),
        cmvn=_required(
            folder, _find(folder, names, "frontend_conf.cmvn_file", _CMVN_NAMES), _CMVN_NAMES
        ),
        tokens=_find(folder, names, "tokenizer_conf.token_list", _TOKENS_NAMES),
        seg_dict=_find(folder, names, "tokenizer_conf.seg_dict_file", _SEG_DICT_NAMES)
        if "tokenizer_conf.seg_dict_file" in names
        else _find(folder, names, "tokenizer_conf.seg_dict", _SEG_DICT_NAMES),
    )


def _config(folder: Path, names: dict[str, str]) -> Path | None:
    return _find(folder, names, "config", _CONFIG_NAMES)


def _weights(folder: Path, names: dict[str, str]) -> Path | None:
    return _find(folder, names, "init_param", _WEIGHTS_NAMES)


def _index(folder: Path) -> dict[str, str]:
    """The names in configuration.json by dotted key; nothing where it has none."""
    path = folder / _INDEX_NAME
    if not path.exists():
        return {}
    metas = read_json(path).get("file_path_metas", {})
    if not isinstance(metas, dict):
        raise StartError(f"{path}: file_path_metas holds no names of files: {_REMEDY}")
    names: dict[str, str] = {}
    for key, value in metas.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        names |= {f"{key}.{sub}".rstrip("."): name for sub, name in inner if _named(name)}
    return names


def _named(name: object) -> bool:
    return isinstance(name, str) and name != ""


def _find(folder: Path, names: dict[str, str], key: str, usual: Sequence[str]) -> Path | None:
    name = names.get(key)
    if name is None:
        return _first(folder, usual)
    _check_inside(folder, key, name)
    path = folder / name
    if not path.is_file():
        raise StartError(
            f"{folder / _INDEX_NAME} names {name!r} as {key}, but there is no such file: {_REMEDY}"
        )
    return path


def _check_inside(folder: Path, key: str, name: str) -> None:
    """Links are allowed, caches of model hubs are made of them; a name that leaves is not."""
    kinds = (PurePosixPath(name), PureWindowsPath(name))
    leaves = any(kind.anchor or ".." in kind.parts for kind in kinds)
    if leaves or not name.isprintable():
        raise StartError(
            f"{folder / _INDEX_NAME}: {key} is {name[:80]!r}, which is no name inside the folder: "
            f"{_REMEDY} from a source you trust"
        )


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _required(folder: Path, path: Path | None, names: Sequence[str]) -> Path:
    if path is not None:
        return path
    blocked = next((name for name in names if (folder / name).exists()), None)
    if blocked:
        raise StartError(f"{folder / blocked} is not a file: {_REMEDY}")
    raise StartError(
        f"{folder} is not a complete Paraformer checkpoint, it lacks {' or '.join(names)}: "
        f"{_REMEDY}, or correct the path"
    )
