"""Punctuation of a text that is still being spoken: finished sentences out, the rest kept.

What is kept is punctuated again with what follows, as a model hears the end of a sentence only by
what comes after it. Knows no engine, only how to ask one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Awaitable, Callable

from voxfleet.transcribe.punctuation import Letters, split_like
from voxfleet.transcribe.stitch import UNSPACED_LETTERS, join_texts

#: as in FunASR: a sentence of more words or Chinese characters is cut at a comma
MAX_SENTENCE_WORDS = 200
#: what must follow a sentence's end before it is believed
_LETTERS_AHEAD = 2

_SENTENCE_END = re.compile(r"(?:[。！？!?…]|\.(?!\S))[^\w\s]*")
_CLAUSE_END = re.compile(r"(?:[，、；：;]|,(?!\S))[^\w\s]*")
_WORD = re.compile(rf"[{UNSPACED_LETTERS}]|[^\W{UNSPACED_LETTERS}]+")


class PunctuationStream:
    """Text goes in piece by piece; together, the answers are the whole text, punctuated.

    Where `punctuate` raises, nothing is lost: the piece is kept for the next time.
    """

    def __init__(self, punctuate: Callable[[str], Awaitable[str]]) -> None:
        self._punctuate = punctuate
        self._kept = ""

    @property
    def kept(self) -> str:
        """What was said and not given out yet, without marks of ours."""
        return self._kept

    async def feed(self, text: str) -> str:
        """The sentences that are finished now; often empty. Raises AlignmentError."""
        self._kept = join_texts((self._kept, text))
        if not len(Letters(self._kept)):
            return ""
        punctuated = await self._punctuate(self._kept)
        finished, self._kept = part_finished(self._kept, punctuated)
        return finished

    def release(self) -> str:
        """All the rest as it was said, for whoever cannot wait for marks that are not to be had."""
        kept, self._kept = self._kept, ""
        return kept

    async def finish(self) -> str:
        """All the rest."""
        kept = self._kept
        if len(Letters(kept)):
            kept = split_like(await self._punctuate(kept), [kept])[0]
        self._kept = ""
        return kept


def part_finished(spoken: str, punctuated: str) -> tuple[str, str]:
    """The punctuated sentences that are finished, and what of `spoken` is not."""
    split_like(punctuated, [spoken])
    marked, raw = Letters(punctuated), Letters(spoken)
    done = _finished_letters(marked)
    if not done:
        return "", spoken
    if done == len(raw):
        return punctuated.strip(), ""
    return punctuated[: marked.border(done)].strip(), spoken[raw.border(done) :].strip()


def _finished_letters(marked: Letters) -> int:
    """How many of the first letters are to be given out."""
    ends = _letters_before(marked, _SENTENCE_END)
    if ends:
        return ends[-1]
    words = len(_WORD.findall(marked.text))
    if words <= MAX_SENTENCE_WORDS:
        return 0
    commas = _letters_before(marked, _CLAUSE_END)
    if commas:
        return commas[-1]
    # no comma either: better a cut than a text without end
    return len(marked) if words > 2 * MAX_SENTENCE_WORDS else 0


def _letters_before(marked: Letters, mark: re.Pattern[str]) -> list[int]:
    """The letters before each such mark that has enough of them behind it."""
    places = [found.start() for found in mark.finditer(marked.text)]
    counts = (bisect_left(marked.places, end) for end in places)
    return [count for count in counts if 0 < count <= len(marked) - _LETTERS_AHEAD]
