"""A punctuated text finds its way back to the pieces it was made of. Pure; knows no engine.

The letters of both must be the same, in the same order; marks, white space and case may differ. A
mark belongs to the piece whose letter it follows, an opening one to the piece it opens.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from voxfleet.core import TranscriptSegment
from voxfleet.errors import AlignmentError
from voxfleet.transcribe.stitch import join_texts

#: a transcript is punctuated in passages of about this length, four minutes of speech: they are
#: computed side by side, and nobody else waits for more than one of them
MAX_PASSAGE_CHARS = 1_000

Passage = tuple[TranscriptSegment, ...]


def passages(segments: Sequence[TranscriptSegment]) -> tuple[Passage, ...]:
    """All segments, in passages not too long for one go, parted where the pause is longest."""
    parted: list[Passage] = []
    rest = tuple(segments)
    while rest:
        fits = _fitting(rest)
        cut = len(rest) if fits == len(rest) else _longest_pause(rest, fits)
        parted.append(rest[:cut])
        rest = rest[cut:]
    return tuple(parted)


def _fitting(segments: Passage) -> int:
    """How many of the first segments make a passage, at least one."""
    chars = 0
    for count, segment in enumerate(segments):
        chars += len(segment.text) + 1
        if chars > MAX_PASSAGE_CHARS:
            return max(1, count)
    return len(segments)


def _longest_pause(segments: Passage, most: int) -> int:
    """The best place to cut in the later half of the first `most` segments."""

    def pause_s(cut: int) -> float:
        return segments[cut].start_s - segments[cut - 1].end_s

    return max(range(max(1, most // 2), most + 1), key=pause_s)


def passage_text(passage: Passage) -> str:
    """What an engine is given; empty where nothing but marks was heard."""
    return join_texts(segment.text for segment in _lettered(passage))


def with_marks(passage: Passage, punctuated: str) -> Passage:
    """The passage with the punctuated text in its segments; raises AlignmentError."""
    lettered = _lettered(passage)
    if not lettered:
        return passage
    parts = split_like(punctuated, [segment.text for segment in lettered])
    texts = dict(zip((segment.index for segment in lettered), parts, strict=True))
    return tuple(
        replace(segment, text=texts.get(segment.index, segment.text)) for segment in passage
    )


def _lettered(passage: Passage) -> list[TranscriptSegment]:
    return [segment for segment in passage if any(map(is_letter, segment.text))]


def split_like(punctuated: str, texts: Sequence[str]) -> list[str]:
    """The punctuated text in as many parts as texts, each with its text's letters.

    Every text must have a letter; raises AlignmentError.
    """
    whole = Letters(punctuated)
    pieces = [Letters(text) for text in texts]
    _require_same(whole, pieces)
    cuts = [0]
    done = 0
    for piece, following in pairwise(pieces):
        done += len(piece)
        cuts.append(whole.border(done, following.lead))
    return [
        punctuated[begin:end].strip()
        for begin, end in zip(cuts, [*cuts[1:], len(punctuated)], strict=True)
    ]


def is_letter(char: str) -> bool:
    """Letters, digits and symbols: what an engine for punctuation must leave alone."""
    return not char.isspace() and unicodedata.category(char)[0] not in "PZC"


class Letters:
    """The letters of a text, whatever their case, and the place of each in it.

    One character may be several letters: "ß" is "ss".
    """

    def __init__(self, text: str) -> None:
        found = [
            (letter, place)
            for place, char in enumerate(text)
            if is_letter(char)
            for letter in char.casefold()
        ]
        self.text = text
        self.folded = "".join(letter for letter, _ in found)
        self.places = [place for _, place in found]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def lead(self) -> str:
        """The marks before the first letter."""
        return self.text[: self.places[0]].strip() if self.places else ""

    def border(self, count: int, lead: str = "") -> int:
        """The place in the text that parts the first `count` letters from the others.

        `lead` are marks known to belong to what follows.
        """
        last, first = self.places[count - 1], self.places[count]
        if first == last:
            raise AlignmentError(f"punctuation joined two pieces at {self.text[first]!r}")
        gap = self.text[last + 1 : first].rstrip()
        if lead and gap.endswith(lead):
            return last + 1 + len(gap) - len(lead)
        while gap and (gap[-1].isspace() or unicodedata.category(gap[-1]) in ("Ps", "Pi")):
            gap = gap[:-1]
        return last + 1 + len(gap)


def _require_same(whole: Letters, pieces: Sequence[Letters]) -> None:
    wanted = "".join(piece.folded for piece in pieces)
    if whole.folded == wanted:
        return
    place = next(_differences(whole.folded, wanted), min(len(whole), len(wanted)))
    raise AlignmentError(
        "punctuation changed more than marks: at letter"
        f" {place + 1} {_around(wanted, place)!r} became {_around(whole.folded, place)!r}"
    )


def _differences(left: str, right: str) -> Iterator[int]:
    return (place for place, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)


def _around(text: str, place: int) -> str:
    return text[max(0, place - 5) : place + 5]
