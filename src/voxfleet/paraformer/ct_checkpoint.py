"""Reads a published ct-punc directory into a CtPunctuator; refuses by name what is not one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import torch
from torch import Tensor

from voxfleet.errors import StartError
from voxfleet.paraformer.config_file import read_json, read_yaml
from voxfleet.paraformer.ct_config import Vocabulary, read_config
from voxfleet.paraformer.ct_jieba import load_cutter
from voxfleet.paraformer.ct_punctuator import CtPunctuator
from voxfleet.paraformer.ct_transformer import CtTransformer
from voxfleet.paraformer.weights_file import read_weights

_INDEX_NAME = "configuration.json"
_REMEDY = "download the model again"
#: the largest published list, 471,067 words, has under 10 MB
_MAX_WORD_LIST_BYTES = 64 * 2**20
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class CtFiles:
    """`jieba_words` is None where the model takes every Chinese character for a word."""

    config: Path
    weights: Path
    words: Path
    jieba_words: Path | None


def load_punctuator(folder: Path, device: str = "cpu") -> CtPunctuator:
    """Ready to use on the device; raises StartError."""
    place = _device(device)
    files = find_ct_files(folder)
    try:
        config = read_config(read_yaml(files.config))
    except StartError as fault:
        raise _within(files.config, fault) from fault
    try:
        vocabulary = Vocabulary(_read_words(files.words), config.unknown)
    except StartError as fault:
        raise _within(files.words, fault) from fault
    with torch.device("meta"):
        network = CtTransformer(config.encoder, len(vocabulary), len(config.marks.marks))
    # the tensors of the file become the network's own: the large word table is never copied
    network.load_state_dict(_fitting_weights(files.weights, network), assign=True)
    cutter = load_cutter(files.jieba_words) if files.jieba_words else None
    return CtPunctuator(network.requires_grad_(False).to(place), vocabulary, config.marks, cutter)


def find_ct_files(folder: Path) -> CtFiles:
    """By configuration.json where it is there, else by their usual names; raises StartError."""
    if not folder.is_dir():
        raise StartError(f"punctuation model {folder}: no such folder; correct the path")
    index = _index(folder)
    return CtFiles(
        config=_required(folder, index.get("config"), "config.yaml"),
        weights=_required(folder, index.get("init_param"), "model.pt"),
        words=_required(folder, index.get("token_list"), "tokens.json", "tokens.txt"),
        # as FunASR does: an index that does not name the list leaves it out
        jieba_words=_optional(folder, index.get("jieba_usr_dict"), named=bool(index)),
    )


def _index(folder: Path) -> dict[str, str]:
    path = folder / _INDEX_NAME
    if not path.exists():
        return {}
    metas = read_json(path).get("file_path_metas")
    if metas is None:
        return {}
    if not isinstance(metas, dict):
        raise StartError(f"{path}: file_path_metas is no mapping: download the model again")
    tokenizer = metas.get("tokenizer_conf")
    names = {**metas, **tokenizer} if isinstance(tokenizer, dict) else metas
    return {key: name for key, name in names.items() if isinstance(name, str)}


def _required(folder: Path, named: str | None, *usual: str) -> Path:
    for name in [named] if named else usual:
        path = _inside(folder, name)
        if path.is_file():
            return path
    raise StartError(
        f"punctuation model {folder}: {named or ' or '.join(usual)} is missing;"
        f" {_REMEDY}, or correct the path"
    )


def _optional(folder: Path, name: str | None, *, named: bool) -> Path | None:
    if name is not None:
        return _required(folder, name)
    usual = folder / "jieba_usr_dict"
    return usual if usual.is_file() and not named else None


def _inside(folder: Path, name: str) -> Path:
    kinds = (PurePosixPath(name), PureWindowsPath(name))
    if not name.isprintable() or any(kind.anchor or ".." in kind.parts for kind in kinds):
        raise StartError(
            f"{folder / _INDEX_NAME} names {name[:80]!r}, which is outside the folder:"
            f" {_REMEDY} from a source you trust"
        )
    return folder / name


def _read_words(path: Path) -> list[str]:
    if path.stat().st_size > _MAX_WORD_LIST_BYTES:
        raise StartError(f"over {_MAX_WORD_LIST_BYTES >> 20} MB, more than any list of words")
    content = path.read_bytes()
    if content.startswith(_LFS_POINTER):
        raise StartError("a Git LFS pointer, not the file itself: run git lfs pull")
    try:
        if path.suffix == ".txt":
            return [line.rstrip() for line in content.decode("utf-8").splitlines()]
        words: object = json.loads(content)
    except (ValueError, RecursionError) as fault:
        raise StartError(f"cannot be read ({fault}): {_REMEDY}") from fault
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise StartError(f"no list of words: {_REMEDY}")
    return words


def _fitting_weights(path: Path, network: CtTransformer) -> dict[str, Tensor]:
    weights = read_weights(path, mapped=True)
    wanted = network.state_dict()
    _check_names(path, weights, wanted)
    for name, weight in weights.items():
        if weight.shape != wanted[name].shape:
            raise StartError(
                f"{path}: {name} has the shape {list(weight.shape)}, the configuration and the"
                f" word list say {list(wanted[name].shape)}: {_REMEDY}"
            )
        if not weight.is_floating_point() or not _is_finite(name, weight):
            raise StartError(f"{path}: {name} holds values that are no numbers: {_REMEDY}")
    return {name: weight.to(torch.float32) for name, weight in weights.items()}


def _is_finite(name: str, weight: Tensor) -> bool:
    # looking at the word table would bring hundreds of megabytes into memory that few texts need
    return name == "embed.weight" or bool(weight.isfinite().all())


def _check_names(path: Path, found: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    missing = [name for name in wanted if name not in found]
    unexpected = [str(name) for name in found if name not in wanted]
    if missing or unexpected:
        raise StartError(
            f"{path} does not fit the configuration: missing {_few(missing)},"
            f" unexpected {_few(unexpected)}; {_REMEDY}"
        )


def _few(names: list[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:3]) or "nothing"
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as fault:
        raise StartError(f"device {name!r} is unknown: use cpu or cuda") from fault
    if device.type == "cuda" and not torch.cuda.is_available():
        raise StartError(f"device {name!r}: PyTorch finds no CUDA device; use cpu")
    return device


def _within(path: Path, fault: StartError) -> StartError:
    text = fault.message if fault.message.startswith(str(path)) else f"{path}: {fault.message}"
    return StartError(text)
