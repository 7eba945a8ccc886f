"""Finds an engine by its name and imports it only then. Knows nothing of how any of them works."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

from voxfleet.engines.engine import Engine
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine is made from; travels to its worker as JSON."""

    model: str
    device: str = "cpu"
    fake: FakeOptions = FakeOptions()


#: model name -> module and class; imported late, so that a process pays for one engine only
_ENGINES: dict[str, tuple[str, str]] = {
    "fake": ("voxfleet.engines.fake", "FakeEngine"),
    "pocketsphinx": ("voxfleet.engines.pocketsphinx", "PocketsphinxEngine"),
}


def engine_names() -> tuple[str, ...]:
    return tuple(sorted(_ENGINES))


def require_engine(name: str) -> None:
    """Raises NotFoundError that names the nearest models, where no engine answers to the name."""
    if name not in _ENGINES:
        near = get_close_matches(name, _ENGINES, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}" if near else f"known are {_list(engine_names())}"
        raise NotFoundError(f"model {name!r} is unknown; {hint}", param="model")


def make_engine(name: str, options: EngineOptions) -> Engine:
    """An engine that is not loaded yet; raises NotFoundError."""
    require_engine(name)
    module, kind = _ENGINES[name]
    engine: Engine = getattr(import_module(module), kind)(options)
    return engine


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
