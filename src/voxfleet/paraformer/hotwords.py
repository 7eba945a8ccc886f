"""Hotwords from text to what the bias decoder looks at: token ids, cached vectors, a padded batch.

Every string is text and nothing else: none is ever opened or fetched. Knows no client and no limits
of a request; which hotwords the decoder then attends to is `network`'s business.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from voxfleet.errors import StartError
from voxfleet.paraformer.hotword_bank import TokenIds, VectorBank
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.tokens import Vocabulary

MAX_SEG_DICT_BYTES = 64 << 20
_MAX_LINE_CHARS = 10_000
_REMEDY = "copy the model's own seg_dict here again, or delete it"

_CONTINUED = "@@"
#: an ideograph alone, or a run of anything else
_IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PARTS = re.compile(rf"[{_IDEOGRAPHS}]|[^\s{_IDEOGRAPHS}]+")
_LETTERS_OR_ONE = re.compile(r"[^\W\d_]+|.", re.DOTALL)
_DIGITS = re.compile("[0-9]+")
#: nobody speaks these between the parts of a word
_JOINERS = frozenset("-.'_·・\u2010\u2011\u2013")
#: of so few capitals a word is spelt, as in GPT; models write such letters one by one
_LONGEST_ABBREVIATION = 5


def read_seg_dict(path: Path) -> dict[str, tuple[str, ...]]:
    """How the model's own training text cut its words: lines of `word piece@@ piece`.

    Of two lines for one word the later counts, and a word without pieces is left out, both as in
    FunASR. Raises StartError naming file and line.
    """
    try:
        size = path.stat().st_size
        if size > MAX_SEG_DICT_BYTES:
            raise StartError(f"{path}: {size} bytes are no list of words; {_REMEDY}")
        with path.open("rb") as file:
            numbered = enumerate(file, 1)
            return dict(_read_line(path, number, line) for number, line in numbered if line.split())
    except OSError as fault:
        raise StartError(f"{path}: cannot be read: {fault.strerror}") from fault


def _read_line(path: Path, number: int, line: bytes) -> tuple[str, tuple[str, ...]]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise StartError(f"{path}: line {number} is not UTF-8; {_REMEDY}") from None
    if len(text) > _MAX_LINE_CHARS or "\0" in text:
        raise StartError(f"{path}: line {number} is no word with its pieces; {_REMEDY}")
    word, *pieces = text.split()
    # some thousand pieces make up all words: each is kept once
    return word, tuple(map(sys.intern, pieces))


class HotwordTokenizer:
    """As FunASR cuts hotwords wherever that gives no `<unk>`; other words by the vocabulary."""

    def __init__(
        self, vocabulary: Vocabulary, seg_dict: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._seg_dict = seg_dict or {}
        self._longest_piece = max(map(len, vocabulary.pieces))

    @property
    def none_id(self) -> int:
        """What the entry that stands for no hotword is made of."""
        return self._vocabulary.sos_id

    def ids(self, hotword: str) -> TokenIds | None:
        """None: not expressible in the vocabulary. Empty: nothing but spaces and punctuation."""
        ids: TokenIds = ()
        for word in hotword.split():
            found = self._word(word)
            if found is None:
                return None
            ids += found
        return ids

    def _word(self, word: str) -> TokenIds | None:
        exact = self._listed(word.lower())
        if exact:
            return exact
        plain = _stripped(unicodedata.normalize("NFKC", word).replace("\u2019", "'"))
        return self._listed(plain.lower()) or self._by_parts(plain)

    def _listed(self, word: str) -> TokenIds | None:
        pieces = self._seg_dict.get(word)
        return self._joined(map(self._id, pieces)) if pieces else None

    def _spelt(self, word: str) -> TokenIds | None:
        capitals = word.isascii() and word.isalpha() and word.isupper()
        if not capitals or not 1 < len(word) <= _LONGEST_ABBREVIATION:
            return None
        return self._joined(map(self._id, word.lower()))

    def _by_parts(self, word: str) -> TokenIds | None:
        parts = _PARTS.findall(word)
        return self._joined(
            self._letter(part.lower()) if len(part) == 1 else self._run(part) for part in parts
        )

    def _letter(self, letter: str) -> TokenIds | None:
        """One ideograph, digit or sign; a sign that joins is silent where nobody can say it."""
        ids = self._listed(letter)
        if ids:
            return ids
        id_ = self._id(letter)
        if id_ is not None:
            return (id_,)
        return () if letter in _JOINERS else None

    def _run(self, cased: str) -> TokenIds | None:
        run = cased.lower()
        if _DIGITS.fullmatch(run):
            return self._joined(map(self._letter, run))
        whole = self._listed(run) or self._spelt(cased) or self._in_pieces(run)
        if whole or run.isalpha():
            return whole
        parts = _LETTERS_OR_ONE.findall(run)
        return self._joined(
            self._letter(part) if len(part) == 1 else self._listed(part) or self._in_pieces(part)
            for part in parts
        )

    def _in_pieces(self, run: str) -> TokenIds | None:
        """The longest piece first, then the longest that leaves an expressible rest."""
        rests: list[TokenIds | None] = [*([None] * len(run)), ()]
        for start in reversed(range(len(run))):
            for end in range(min(len(run), start + self._longest_piece), start, -1):
                rest = rests[end]
                id_ = None if rest is None else self._piece(run[start:end], end < len(run))
                if rest is not None and id_ is not None:
                    rests[start] = (id_, *rest)
                    break
        return rests[0]

    def _piece(self, text: str, continued: bool) -> int | None:
        if "@" in text:
            # else a client could write the vocabulary's own marks
            return None
        return self._id(text + _CONTINUED if continued else text)

    def _id(self, piece: str) -> int | None:
        id_ = self._vocabulary.id_of(piece)
        usable = id_ is not None and self._vocabulary.is_text(id_)
        return id_ if usable and id_ != self._vocabulary.unknown_id else None

    @staticmethod
    def _joined(parts: Iterator[int | None] | Iterator[TokenIds | None]) -> TokenIds | None:
        ids: list[int] = []
        for part in parts:
            if part is None:
                return None
            ids.extend((part,) if isinstance(part, int) else part)
        return tuple(ids)


def _stripped(word: str) -> str:
    """Without the punctuation around it."""
    kept = [place for place, char in enumerate(word) if unicodedata.category(char)[0] not in "PZ"]
    return word[kept[0] : kept[-1] + 1] if kept else ""


@dataclass(frozen=True, slots=True)
class PreparedHotwords:
    """Lists of one batch on the model's device.

    `words` [items, longest, size], each list followed by the entry that stands for none; `counts`
    [items], int64, entries with that one; `unknown`, per item, what could not be used. `words` may
    be one list seen several times: not to be written to.
    """

    words: Tensor
    counts: Tensor
    unknown: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _EmbeddedList:
    words: Tensor
    unknown: tuple[str, ...]
    #: words as they were sent: those without tokens take memory, too
    sent: int


class HotwordEmbedder:
    """Keeps at most `capacity` vectors by token ids, and lists of as many entries together.

    A full-size model's vector takes 2 KB on its device. Not for several threads.
    """

    def __init__(
        self, network: ParaformerNetwork, tokenizer: HotwordTokenizer, capacity: int = 20_000
    ) -> None:
        self._tokenizer = tokenizer
        self._bank = VectorBank(network, capacity)
        self._none: TokenIds = (tokenizer.none_id,)
        self._capacity = capacity
        self._lists: OrderedDict[tuple[str, ...], _EmbeddedList] = OrderedDict()
        self._listed_entries = 0

    @torch.inference_mode()
    def prepare(self, lists: Sequence[Sequence[str]]) -> PreparedHotwords:
        """For a batch of at least one item; an empty list has only the entry for none."""
        found: dict[tuple[str, ...], _EmbeddedList] = {}
        keys = [tuple(words) for words in lists]
        for key in keys:
            if key not in found:
                found[key] = self._list(key)
        rows = [found[key].words for key in keys]
        device = rows[0].device
        counts = torch.tensor([len(row) for row in rows], dtype=torch.int64).to(device)
        unknown = tuple(found[key].unknown for key in keys)
        if len(found) == 1:
            return PreparedHotwords(rows[0].expand(len(rows), -1, -1), counts, unknown)
        return PreparedHotwords(nn.utils.rnn.pad_sequence(rows, True), counts, unknown)

    def _list(self, key: tuple[str, ...]) -> _EmbeddedList:
        known = self._lists.get(key)
        if known is not None:
            self._lists.move_to_end(key)
            return known
        made = self._embedded(key)
        self._lists[key] = made
        self._listed_entries += made.sent + 1
        # a list longer than all that may be kept is not kept either
        while self._listed_entries > self._capacity:
            _, dropped = self._lists.popitem(last=False)
            self._listed_entries -= dropped.sent + 1
        return made

    def _embedded(self, words: tuple[str, ...]) -> _EmbeddedList:
        ids = {word: self._tokenizer.ids(word) for word in words}
        unknown = tuple(word for word, found in ids.items() if found is None)
        # two spellings may be one hotword; the entry for none stays last
        distinct = dict.fromkeys(found for found in ids.values() if found)
        return _EmbeddedList(self._bank.vectors([*distinct, self._none]), unknown, len(words))
