"""Cuts Chinese into words with jieba and the word list of a model. Knows no punctuation.

jieba is optional: only ct-punc's large model was trained on words.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Protocol

from voxfleet.errors import StartError
from voxfleet.paraformer.ct_text import WordCutter


class Segmenter(Protocol):
    """The part of `jieba.Tokenizer` that is used; the package itself is untyped."""

    FREQ: dict[str, int]
    total: int
    initialized: bool

    def get_dict_file(self) -> BinaryIO: ...
    def gen_pfdict(self, file: BinaryIO) -> tuple[dict[str, int], int]: ...
    def load_userdict(self, file: BinaryIO) -> None: ...
    def cut(self, text: str, *, HMM: bool) -> Iterable[str]: ...  # noqa: N803


def load_cutter(words: Path) -> WordCutter:
    """Raises StartError where jieba is missing or the model's own words cannot be read."""
    segmenter: Segmenter = _jieba(words).Tokenizer()
    # its own way to load goes through a cache file that anybody may write in the shared /tmp
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    try:
        with words.open("rb") as file:
            segmenter.load_userdict(file)
    except (OSError, ValueError) as fault:
        raise StartError(f"{words} is no list of words: {fault}; download it again") from fault

    def cut(text: str) -> Iterable[str]:
        return segmenter.cut(text, HMM=False)

    return cut


def _jieba(words: Path) -> ModuleType:
    try:
        with warnings.catch_warnings():
            # the package is old: newer Pythons warn of its regular expressions
            warnings.simplefilter("ignore")
            return import_module("jieba")
    except ImportError as fault:
        raise StartError(
            f"{words}: this model needs words cut by jieba, which is not installed:"
            " run `pip install jieba`, or use ct-punc-c"
        ) from fault
