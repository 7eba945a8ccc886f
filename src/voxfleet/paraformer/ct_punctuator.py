"""Punctuates many texts at once: the windows of one text follow each other, those of many batch.

Knows the network and the rules of text, no file and no transport.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from voxfleet.paraformer.ct_config import MarkList, Vocabulary
from voxfleet.paraformer.ct_text import PunctuationState, Window, WordCutter, split_words
from voxfleet.paraformer.ct_transformer import CtTransformer

#: texts in one step
_MAX_TEXTS = 64
#: words in one step, padding included
_MAX_PADDED_WORDS = 8192
#: words of padding that cost less than one step more would
_SPARE_WORDS = {"cpu": 64, "cuda": 4096}


class CtPunctuator:
    def __init__(
        self,
        network: CtTransformer,
        vocabulary: Vocabulary,
        marks: MarkList,
        cutter: WordCutter | None = None,
    ) -> None:
        self._network = network.eval()
        self._device = network.decoder.weight.device
        self._vocabulary = vocabulary
        self._marks = marks
        self._cutter = cutter
        self._spare_words = _SPARE_WORDS.get(self._device.type, _SPARE_WORDS["cpu"])

    def process(
        self, states: Sequence[PunctuationState], texts: Sequence[str], final: Sequence[bool]
    ) -> list[str]:
        """The text decided now, one for each state; what is not stays in it, unless `final`.

        Appended to each other, a state's answers are its whole text; an answer that begins with
        an ASCII word begins with a space.
        """
        for state, text in zip(states, texts, strict=True):
            state.push(split_words(text, self._cutter))
        decided: list[list[str]] = [[] for _ in states]
        while windows := _open_windows(states, final):
            lengths = {number: len(window.words) for number, window in windows.items()}
            for step in plan_steps(lengths, self._spare_words):
                marks = self._look([windows[number].words for number in step])
                for number, found in zip(step, marks, strict=True):
                    settled = states[number].settle(windows[number], found, self._marks.cut)
                    decided[number].append(settled)
        return ["".join(parts) for parts in decided]

    @torch.inference_mode()
    def _look(self, rows: Sequence[Sequence[str]]) -> list[list[str]]:
        lengths = [len(row) for row in rows]
        longest = max(lengths)
        numbers = [self._vocabulary.numbers(row) + [0] * (longest - len(row)) for row in rows]
        padded = None
        if min(lengths) < longest:
            padded = torch.tensor(lengths, device=self._device)
        scores = self._network(torch.tensor(numbers, device=self._device), padded)
        best: list[list[int]] = scores.argmax(dim=-1).tolist()
        return [self._marks.of(row[:length]) for row, length in zip(best, lengths, strict=True)]


def _open_windows(states: Sequence[PunctuationState], final: Sequence[bool]) -> dict[int, Window]:
    windows = (state.window(final=last) for state, last in zip(states, final, strict=True))
    return {number: window for number, window in enumerate(windows) if window is not None}


def plan_steps(lengths: Mapping[int, int], spare_words: int) -> list[list[int]]:
    """The texts of each step, the longest windows first; little of a step is padding."""
    steps: list[list[int]] = []
    longest = padding = 0
    for number in sorted(lengths, key=lambda number: -lengths[number]):
        padding += longest - lengths[number]
        full = not steps or _is_full(len(steps[-1]), longest)
        if full or padding > spare_words:
            steps.append([])
            longest, padding = lengths[number], 0
        steps[-1].append(number)
    return steps


def _is_full(texts: int, longest: int) -> bool:
    return texts >= _MAX_TEXTS or (texts + 1) * longest > _MAX_PADDED_WORDS
