"""The rules of punctuating: text to words, words to windows, words and their marks to text.

Source: Chen et al., "Controllable Time-Delay Transformer for Real-Time Punctuation Prediction and
Disfluency Detection" (arXiv 2003.01309), as FunASR runs it. Knows no tensor and no file.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

#: words that a window adds to those carried over
WINDOW_WORDS = 20
#: a window longer than this without a sentence's end is cut at its last comma
COMMA_CUT_WORDS = 200
#: a window longer than this is cut anywhere; FunASR's grows on, its time with the square of it
LONGEST_WINDOW_WORDS = 1000

NO_MARK = "_"
FULL_STOP = "。"
COMMA = "，"
SENTENCE_ENDS = frozenset({FULL_STOP, "？"})
_ASCII_MARKS = {COMMA: ",", FULL_STOP: ".", "？": "?"}
_LATIN = re.compile(r"[a-zA-Z']+")

#: cuts Chinese into words
WordCutter = Callable[[str], Iterable[str]]


def split_words(text: str, cutter: WordCutter | None = None) -> list[str]:
    """What the model sees as words, white space left out.

    Runs of ASCII and every other character on its own; a cutter decides about all but pure Latin.
    """
    if cutter is None:
        return [word for chunk in text.split() for word in _characters(chunk)]
    words: list[str] = []
    for latin, run in groupby(text.split(), lambda chunk: bool(_LATIN.fullmatch(chunk))):
        chunks = list(run)
        words.extend(chunks if latin else cutter("".join(chunks)))
    return words


def _characters(chunk: str) -> Iterable[str]:
    for ascii_only, run in groupby(chunk, str.isascii):
        if ascii_only:
            yield "".join(run)
        else:
            yield from run


@dataclass(frozen=True, slots=True)
class Window:
    """Words that the network sees at once; `last` where the text ends with them."""

    words: tuple[str, ...]
    last: bool


class PunctuationState:
    """What one text still needs: words nobody looked at, words carried over to the next window.

    Windows begin every 20 words of the whole text, however it arrived: fed in pieces, a text
    becomes what it becomes at once, as long as no piece ends within a word.
    """

    def __init__(self) -> None:
        self._carried: tuple[str, ...] = ()
        self._waiting: deque[str] = deque()

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The words that no settled text contains yet."""
        return (*self._carried, *self._waiting)

    def push(self, words: Iterable[str]) -> None:
        self._waiting.extend(words)

    def window(self, *, final: bool) -> Window | None:
        """What to look at next, None where nothing is left or more words must come first.

        A full window waits for one word more, since the text's last window has its own rules.
        """
        more = len(self._waiting) > WINDOW_WORDS
        if not self._waiting or not (more or final):
            return None
        words = (*self._carried, *islice(self._waiting, WINDOW_WORDS))
        return Window(words, last=not more)

    def settle(self, window: Window, marks: Sequence[str], cut_mark: str) -> str:
        """The text that is now decided; `marks` holds one mark for each word of the window."""
        for _ in range(min(WINDOW_WORDS, len(self._waiting))):
            self._waiting.popleft()
        if window.last:
            self._carried = ()
            return end_text(join(window.words, marks))
        end, marks = _decided(marks, cut_mark)
        self._carried = window.words[end:]
        return join(window.words[:end], marks)


def _decided(marks: Sequence[str], cut_mark: str) -> tuple[int, Sequence[str]]:
    """How many words are settled, and their marks; the last word and the first two never end it."""
    inner = range(len(marks) - 2, 1, -1)
    end = next((place for place in inner if marks[place] in SENTENCE_ENDS), None)
    if end is not None:
        return end + 1, marks[: end + 1]
    if len(marks) > COMMA_CUT_WORDS:
        comma = next((place for place in inner if marks[place] == COMMA), None)
        if comma is not None:
            return comma + 1, [*marks[:comma], cut_mark]
    if len(marks) > LONGEST_WINDOW_WORDS:
        return len(marks) - 1, marks[:-1]
    return 0, ()


def join(words: Sequence[str], marks: Sequence[str]) -> str:
    """Words with their marks; the first word, where it is ASCII, has a space before it.

    Spaces stand before ASCII words that follow ASCII words, so "3 月" comes back as "3月".
    """
    parts: list[str] = []
    before, starts_sentence = "", True
    for word, mark in zip(words, marks, strict=True):
        latin = word[0].isascii()
        if latin and (not before or before[0].isascii()):
            parts.append(" ")
        # `capitalize` lowers the rest of the word too, as the model's authors do
        parts.append(word.capitalize() if latin and starts_sentence else word)
        if mark != NO_MARK:
            parts.append(_ASCII_MARKS.get(mark, mark) if latin else mark)
        before, starts_sentence = word, mark in SENTENCE_ENDS
    return "".join(parts)


def end_text(text: str) -> str:
    """A comma at the end becomes a full stop; a text that ends in a word gets one."""
    if not text or text[-1] in {*SENTENCE_ENDS, ".", "?"}:
        return text
    if text[-1] in {COMMA, "、"}:
        return text[:-1] + FULL_STOP
    if text[-1] == ",":
        return text[:-1] + "."
    return text + ("." if text[-1].isascii() else FULL_STOP)
