"""Which text engines a server has, by name; each is imported only by the process that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from voxfleet.engines.text_engine import TextEngine
from voxfleet.errors import StartError

CT_PUNC = "ct-punc"
ITN = "itn"


@dataclass(frozen=True, slots=True)
class TextEngineOptions:
    """What text engines are made from; travels to their worker as JSON.

    `punctuation_dir` is empty where nothing punctuates; `device` is punctuation's.
    """

    punctuation_dir: str = ""
    device: str = "cpu"
    itn: bool = False
    itn_language: str = "auto"

    @property
    def names(self) -> tuple[str, ...]:
        """The engines there will be; empty when no text worker is needed."""
        wanted = {CT_PUNC: bool(self.punctuation_dir), ITN: self.itn}
        return tuple(name for name, on in wanted.items() if on)


#: name -> module and class
_ENGINES: dict[str, tuple[str, str]] = {
    CT_PUNC: ("voxfleet.engines.ct_punc", "CtPuncEngine"),
    ITN: ("voxfleet.engines.itn", "ItnEngine"),
}


def make_text_engines(options: TextEngineOptions) -> dict[str, TextEngine]:
    """Engines that are not loaded yet, by name."""
    return {name: _make(name, options) for name in options.names}


def _make(name: str, options: TextEngineOptions) -> TextEngine:
    module, kind = _ENGINES[name]
    try:
        make = getattr(import_module(module), kind)
    except ModuleNotFoundError as fault:
        raise StartError(f"text engine {name}: {fault.name} is not installed") from fault
    engine: TextEngine = (
        make(Path(options.punctuation_dir), options.device)
        if name == CT_PUNC
        else make(options.itn_language)
    )
    return engine
