"""A Paraformer vocabulary, and how its pieces become words and text.

Pure but for reading the vocabulary's file. Knows no model: tokens come with their times and
probabilities already told.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from voxfleet.core import Word
from voxfleet.errors import StartError

MAX_VOCABULARY_BYTES = 64 * 2**20
BLANK_ID, SOS_ID, EOS_ID = 0, 1, 2
_RESERVED = {
    BLANK_ID: ("<blank>",),
    SOS_ID: ("<s>", "<sos>"),
    EOS_ID: ("</s>", "<eos>"),
}
_UNKNOWN = "<unk>"
_SILENT = frozenset({_UNKNOWN, "<OOV>", *(name for names in _RESERVED.values() for name in names)})
#: ends a piece that the next one continues
_CONTINUED = "@@"
_REMEDY = "copy the model's own vocabulary file here again"

#: letters of scripts without spaces between words
_UNSPACED_LETTERS = (
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_STANDS_ALONE = re.compile(f"[{_UNSPACED_LETTERS}]")
#: the model's Chinese writes digits and @ without spaces too
_UNSPACED = re.compile(f"[{_UNSPACED_LETTERS}0-9@]")
#: a probability of 0 has no logarithm
_LEAST_CONFIDENCE = 1e-10


class Vocabulary:
    """The pieces a model can say, by token id. Never changes."""

    __slots__ = ("_ids", "_pieces")

    def __init__(self, pieces: Sequence[str]) -> None:
        try:
            self._ids = _checked_ids(pieces)
        except ValueError as error:
            raise StartError(f"a vocabulary {error}: {_REMEDY}") from error
        self._pieces = tuple(pieces)

    @property
    def pieces(self) -> tuple[str, ...]:
        return self._pieces

    @property
    def unknown_id(self) -> int:
        return self._ids[_UNKNOWN]

    @property
    def sos_id(self) -> int:
        return SOS_ID

    @property
    def eos_id(self) -> int:
        return EOS_ID

    def __len__(self) -> int:
        return len(self._pieces)

    def id_of(self, piece: str) -> int | None:
        return self._ids.get(piece)

    def is_text(self, token_id: int) -> bool:
        """False for what only steers the model; the unknown piece is text that nobody can read."""
        return EOS_ID < token_id < len(self._pieces)


def read_vocabulary(path: Path) -> Vocabulary:
    """From a JSON list of pieces (`.json`), else one piece per line."""
    try:
        text = _read_text(path)
        pieces = _json_pieces(text) if path.suffix == ".json" else _line_pieces(text)
        _checked_ids(pieces)
    except OSError as error:
        fault = error.strerror or type(error).__name__
        raise StartError(f"vocabulary {path} cannot be read ({fault}): {_REMEDY}") from error
    except ValueError as error:
        raise StartError(f"vocabulary {path} {error}: {_REMEDY}") from error
    return Vocabulary(pieces)


def _read_text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError("is not a file")
    with path.open("rb") as file:
        content = file.read(MAX_VOCABULARY_BYTES + 1)
    if len(content) > MAX_VOCABULARY_BYTES:
        raise ValueError(f"is larger than {MAX_VOCABULARY_BYTES // 2**20} MB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at byte {error.start}") from error


def _json_pieces(text: str) -> list[str]:
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not valid JSON") from error
    if not isinstance(content, list):
        raise ValueError("is not a JSON list")
    pieces = [piece for piece in content if isinstance(piece, str)]
    if len(pieces) != len(content):
        raise ValueError("has an entry that is not a string")
    return pieces


def _line_pieces(text: str) -> list[str]:
    # not splitlines: other line separators may be pieces
    return text.removesuffix("\n").split("\n") if text else []


def _checked_ids(pieces: Sequence[str]) -> dict[str, int]:
    if not pieces:
        raise ValueError("is empty")
    ids: dict[str, int] = {}
    for token_id, piece in enumerate(pieces):
        _check_printable(piece, token_id)
        if ids.setdefault(piece, token_id) != token_id:
            raise ValueError(f"has {_quoted(piece)} twice, as {ids[piece]} and {token_id}")
    for token_id, names in _RESERVED.items():
        if token_id >= len(pieces) or pieces[token_id] not in names:
            raise ValueError(f"does not have {names[0]} as token {token_id}")
    if _UNKNOWN not in ids:
        raise ValueError(f"lacks {_UNKNOWN}")
    return ids


def _check_printable(piece: str, token_id: int) -> None:
    """What a text cannot carry: nothing, white space alone, control codes, half a character."""
    if not piece.strip() or {"Cc", "Cs"} & {unicodedata.category(letter) for letter in piece}:
        raise ValueError(f"has {_quoted(piece)} as token {token_id}, which is no text")


def _quoted(piece: str) -> str:
    return ascii(piece[:40])


@dataclass(frozen=True, slots=True)
class Token:
    """One piece as it was recognised; times from the start of the segment."""

    piece: str
    start_s: float
    end_s: float
    confidence: float


def words_from(tokens: Sequence[Token]) -> tuple[Word, ...]:
    """Latin words of their pieces, letters spelt one by one as an abbreviation, each Han alone."""
    words = [_word(pieces) for pieces in _grouped(tokens)]
    return tuple(_abbreviated([word for word in words if word.text]))


def _grouped(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    pieces: list[Token] = []
    for token in tokens:
        if token.piece in _SILENT:
            continue
        alone = _STANDS_ALONE.match(token.piece) is not None
        if alone and pieces:
            yield pieces
            pieces = []
        pieces.append(token)
        if alone or not token.piece.endswith(_CONTINUED):
            yield pieces
            pieces = []
    if pieces:
        yield pieces


def _word(pieces: Sequence[Token]) -> Word:
    return Word(
        text="".join(token.piece.removesuffix(_CONTINUED) for token in pieces),
        start_s=pieces[0].start_s,
        end_s=pieces[-1].end_s,
        confidence=_geometric_mean([token.confidence for token in pieces]),
    )


def _geometric_mean(confidences: Sequence[float]) -> float:
    """The exponential of the mean log probability, the same measure whatever a word's length.

    A product would make every long word look unsure; a minimum would let one odd piece decide.
    """
    logs = [math.log(max(confidence, _LEAST_CONFIDENCE)) for confidence in confidences]
    return min(1.0, math.exp(math.fsum(logs) / len(logs)))


def _abbreviated(words: Iterable[Word]) -> Iterator[Word]:
    for spelt, run in groupby(words, key=_is_letter):
        letters = list(run)
        if spelt and len(letters) > 1:
            yield _abbreviation(letters)
        else:
            yield from letters


def _is_letter(word: Word) -> bool:
    return len(word.text) == 1 and word.text.isascii() and word.text.isalpha()


def _abbreviation(letters: Sequence[Word]) -> Word:
    return Word(
        text="".join(word.text for word in letters).upper(),
        start_s=letters[0].start_s,
        end_s=letters[-1].end_s,
        confidence=_geometric_mean(
            [word.confidence for word in letters if word.confidence is not None]
        ),
    )


def text_from(words: Sequence[Word]) -> str:
    """Spaces stand only after a word of letters, and only before what is not Chinese."""
    texts = [word.text for word in words if word.text]
    spaced = [
        f" {after}" if _space_between(before[-1], after[0]) else after
        for before, after in pairwise(texts)
    ]
    return "".join((*texts[:1], *spaced))


def _space_between(before: str, after: str) -> bool:
    is_letter = before.isalpha() or before == "'"
    return is_letter and not _UNSPACED.match(before) and not _UNSPACED.match(after)
