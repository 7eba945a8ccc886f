"""Inverse text normalisation with wetext: "twenty three dollars" becomes "$23".

English and Chinese, each with the finite-state grammars inside wetext's package. The library is
given one clause at a time, as it slows down on long texts, and never the characters that its own
notation uses. Knows no transcript.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from voxfleet.errors import RecognitionError, StartError

LANGUAGES = ("en", "zh")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

#: what the grammars must not see: their own notation, control characters, line breaks
_OPAQUE = r'"\\{}\x00-\x1f\x7f-\x9f\u2028\u2029'
#: where a clause ends. A mark that numbers use must have nothing behind it, and not end "p.m."
_BORDER = rf"[{_OPAQUE}。！？；，、：…!?;]|(?<![.\s]\w)[.,:](?=[\s.,:]|\Z)"
_BORDERS = re.compile(rf"((?:{_BORDER})(?:{_BORDER}|\s)*)")
#: a clause longer than this is cut at a space, or anywhere
_MAX_CLAUSE_CHARS = 400
_CUT = re.compile(rf".{{1,{_MAX_CLAUSE_CHARS}}}(?:\s|\Z)|.{{{_MAX_CLAUSE_CHARS}}}", re.DOTALL)

_TOKEN = re.compile(r'(\w+) \{(?: \w+: "[^"]*")* \}')
#: tokens the grammars leave as they are
_PLAIN_TOKENS = frozenset({"char", "word"})
#: what must not touch its like where two numbers meet
_ASCII_EDGE = re.compile(r"[!-~]")

_Step = Callable[[str, str, str], str]


class ItnEngine:
    def __init__(self, language: str = "auto") -> None:
        self._language = language
        self._tag: _Step | None = None
        self._reorder: _Step | None = None
        self._verbalise: _Step | None = None

    def load(self) -> None:
        try:
            wetext = import_module("wetext")
        except ImportError as fault:
            raise StartError(
                f"itn: {fault.name} is not installed; pip install 'voxfleet[itn]', or set"
                " itn.enabled = false"
            ) from fault
        self._tag, self._reorder, self._verbalise = wetext.tag, wetext.reorder, wetext.verbalize

    def warm_up(self) -> None:
        for answer in self.process(["twenty three dollars", "二十三块"]):
            if isinstance(answer, RecognitionError):
                raise StartError(f"itn: {answer.message}; install voxfleet[itn] anew") from answer

    def process(self, batch: Sequence[str]) -> list[str | RecognitionError]:
        return [self._formatted(text) for text in batch]

    def _formatted(self, text: str) -> str | RecognitionError:
        try:
            return "".join(
                part if is_border else self._clause(part) for part, is_border in clauses(text)
            )
        except (AssertionError, RuntimeError) as fault:
            # how the library says that it has no way through a text
            reason = f"{type(fault).__name__} {fault}".strip()
            return RecognitionError(f"the number grammars cannot read this text ({reason})")

    def _clause(self, clause: str) -> str:
        inner = " ".join(clause.split())
        if not inner:
            return clause
        begin = clause[: len(clause) - len(clause.lstrip())]
        end = clause[len(clause.rstrip()) :]
        return begin + self._through_grammars(inner, self._language_of(inner)) + end

    def _language_of(self, clause: str) -> str:
        if self._language != "auto":
            return self._language
        return "zh" if _HAN.search(clause) else "en"

    def _through_grammars(self, clause: str, language: str) -> str:
        if self._tag is None or self._reorder is None or self._verbalise is None:
            raise StartError("itn: not loaded yet; load it first")
        tagged = self._tag(clause, language, "itn")
        if not tagged:
            raise RuntimeError("no way through")
        # English words have spaces between them, so that nothing can touch
        groups = token_groups(tagged) if language == "zh" else [tagged]
        written = ""
        for group in groups:
            said = self._verbalise(self._reorder(group, language, "itn"), language, "itn")
            if not said:
                raise RuntimeError("an empty answer")
            touch = written and _ASCII_EDGE.match(written[-1]) and _ASCII_EDGE.match(said)
            written += f" {said}" if touch else said
        return written


def clauses(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces that join to itself, each with whether it is a border between clauses."""
    for index, part in enumerate(_BORDERS.split(text)):
        if index % 2:
            yield part, True
        else:
            yield from ((cut, False) for cut in _CUT.findall(part))


def token_groups(tagged: str) -> list[str]:
    """The tagged text, parted between two formatted tokens that nothing lies between.

    Each is then written alone: a date and a time side by side must not become one number.
    """
    if _TOKEN.sub("", tagged).strip():
        raise RuntimeError("tags nobody understands")
    groups: list[list[str]] = []
    formatted_before = False
    for token in _TOKEN.finditer(tagged):
        formatted = token[1] not in _PLAIN_TOKENS
        if not groups or (formatted and formatted_before):
            groups.append([])
        groups[-1].append(token[0])
        formatted_before = formatted
    return [" ".join(group) for group in groups]
