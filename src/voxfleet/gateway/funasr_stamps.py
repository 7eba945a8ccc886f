"""Times of words and sentences as FunASR's clients read them, in ms. Pure.

A text is parted at its marks, and each part takes the words that lie where it lies. Places are
counted in letters, stretched where digits stand for words ("twenty" is now "20").
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from voxfleet.core import TranscriptSegment, Word
from voxfleet.gateway.api_schemas import JsonObject

#: an ASCII mark is one only before a space: "3.5" and "a.m" have none
_PART = re.compile(r"(.+?)([，。？！、；：…]+|[,.?!;:]+(?=\s|\Z)|\Z)", re.DOTALL)


def timestamp(segments: Iterable[TranscriptSegment]) -> str | None:
    """A list of [begin, end] of each word as JSON text; None where the model tells none.

    FunASR's clients look into a list that is there without asking how long it is.
    """
    words = [word for segment in segments for word in segment.words]
    return json.dumps([_times(word) for word in words], separators=(",", ":")) if words else None


def sentences(segments: Iterable[TranscriptSegment]) -> list[JsonObject]:
    return [sentence for segment in segments for sentence in _sentences(segment)]


def _sentences(segment: TranscriptSegment) -> Iterator[JsonObject]:
    if not segment.words:
        text = segment.text.strip()
        if text:
            yield _sentence(text, "", segment.start_s, segment.end_s, ())
        return
    parts = [(match[1].strip(), match[2]) for match in _PART.finditer(segment.text)]
    parts = [(text, mark) for text, mark in parts if text]
    begin_s = segment.start_s
    for (text, mark), words in zip(parts, _shared(parts, segment.words), strict=True):
        start_s = words[0].start_s if words else begin_s
        begin_s = words[-1].end_s if words else start_s
        yield _sentence(text, mark, start_s, begin_s, words)


def _shared(parts: Sequence[tuple[str, str]], words: Sequence[Word]) -> list[list[Word]]:
    """The words of each part; every word is in one, that in which its middle lies."""
    ends = list(accumulate(_letters(text) for text, _ in parts))
    shares: list[list[Word]] = [[] for _ in parts]
    sizes = [_letters(word.text) for word in words]
    scale = (ends[-1] if ends else 0) / max(sum(sizes), 1)
    before = 0
    for word, size in zip(words, sizes, strict=True):
        place = (before + size / 2) * scale
        before += size
        if shares:
            shares[min(bisect_left(ends, place), len(shares) - 1)].append(word)
    return shares


def _sentence(
    text: str, mark: str, start_s: float, end_s: float, words: Sequence[Word]
) -> JsonObject:
    return {
        "text_seg": text,
        "punc": mark,
        "start": _ms(start_s),
        "end": _ms(end_s),
        "ts_list": [_times(word) for word in words],
    }


def _times(word: Word) -> list[int]:
    return [_ms(word.start_s), _ms(word.end_s)]


def _ms(time_s: float) -> int:
    return round(time_s * 1000)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))
