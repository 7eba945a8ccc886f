"""Finds an engine by its name or its folder and imports it only then. Knows not how any works."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from voxfleet.engines.engine import Engine, Tick, no_tick
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotFoundError, StartError


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine is made from; travels to its worker as JSON.

    `model` is a name or the path of a checkpoint's folder; `precision` "" leaves the choice to the
    device; `threads` 0 means every core that the process may run on. `memory_fraction` is the
    share of its GPU's memory that it may take, 0 all of it.
    """

    model: str
    device: str = "cpu"
    fake: FakeOptions = FakeOptions()
    precision: str = ""
    threads: int = 0
    memory_fraction: float = 0.0


#: model name -> module and class; imported late, so that a process pays for one engine only
_ENGINES: dict[str, tuple[str, str]] = {
    "fake": ("voxfleet.engines.fake", "FakeEngine"),
    "pocketsphinx": ("voxfleet.engines.pocketsphinx", "PocketsphinxEngine"),
}


#: what runs a checkpoint's folder
_FOLDER_ENGINE = ("voxfleet.engines.paraformer", "ParaformerEngine")


def engine_names() -> tuple[str, ...]:
    return tuple(sorted(_ENGINES))


def require_engine(name: str) -> None:
    """Raises NotFoundError that names the nearest models, where no engine answers to the name.

    Of a folder only the names of its files are looked at: reading it is the worker's.
    """
    if name in _ENGINES:
        return
    if is_folder(name):
        _require_checkpoint(Path(name))
        return
    near = get_close_matches(name, _ENGINES, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}" if near else f"known are {_list(engine_names())}"
    raise NotFoundError(
        f"model {name!r} is unknown; {hint}, or the path of a checkpoint's folder", param="model"
    )


def is_folder(name: str) -> bool:
    """Whether the name of a model means a folder: by its slashes, or because there is one."""
    return name not in _ENGINES and ("/" in name or _is_dir(Path(name)))


def make_engine(name: str, options: EngineOptions, tick: Tick = no_tick) -> Engine:
    """An engine that is not loaded yet, and ticks as it works; raises NotFoundError, StartError."""
    require_engine(name)
    module, kind = _ENGINES.get(name, _FOLDER_ENGINE)
    engine: Engine = getattr(import_module(module), kind)(options, tick)
    return engine


def _require_checkpoint(folder: Path) -> None:
    from voxfleet.paraformer.checkpoint_files import is_checkpoint

    if not _is_dir(folder):
        raise NotFoundError(
            f"model {folder}: no such folder; name the folder that has config.yaml and model.pt",
            param="model",
        )
    if not is_checkpoint(folder):
        raise StartError(
            f"model {folder}: no checkpoint of a known kind, which has a config.yaml and a"
            " model.pt; correct the path, or download the model again"
        )


def _is_dir(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:
        # a name that no folder can have, such as one of a thousand characters
        return False


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
