"""Punctuation as a text engine: whole texts in, the same texts with marks and capitals out.

Knows no file layout and no rule of punctuation; torch is imported when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxfleet.errors import RecognitionError, StartError
from voxfleet.paraformer.ct_text import PunctuationState

if TYPE_CHECKING:
    from voxfleet.paraformer.ct_punctuator import CtPunctuator

_WARM_UP_WORDS = 50


class CtPuncEngine:
    """`folder` holds ct-punc or ct-punc-c as published; `device` is cpu, cuda or cuda:N."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._folder = folder
        self._device = device
        self._punctuator: CtPunctuator | None = None

    def load(self) -> None:
        try:
            from voxfleet.paraformer.ct_checkpoint import load_punctuator
        except ImportError as fault:
            raise StartError(
                f"punctuation model {self._folder}: {fault.name} is not installed;"
                " run: pip install 'voxfleet[paraformer]'"
            ) from fault
        self._punctuator = load_punctuator(self._folder, self._device)

    def warm_up(self) -> None:
        self.process(["好 hello " * _WARM_UP_WORDS, "好"])

    def process(self, batch: Sequence[str]) -> list[str | RecognitionError]:
        states = [PunctuationState() for _ in batch]
        texts = self.punctuator.process(states, batch, [True] * len(batch))
        # FunASR leaves a space before a first English word
        return [text.lstrip(" ") for text in texts]

    @property
    def punctuator(self) -> CtPunctuator:
        """For streams, whose text comes piece by piece; raises StartError before `load`."""
        if self._punctuator is None:
            raise StartError(f"punctuation model {self._folder}: asked before it was loaded")
        return self._punctuator
