"""Hotwords as people and FunASR's clients write them, as a list. Pure; knows no model.

Every string is text or, as `@name`, the name of a list that was put here before: none names a file
or a place to fetch one from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Protocol

from voxfleet.audio.displayed_name import displayed_name
from voxfleet.errors import NotFoundError, ParameterError

MAX_HOTWORDS = 1000
MAX_HOTWORD_CHARS = 50
#: in one request
MAX_LISTS_NAMED = 20

_SEPARATORS = re.compile(r"[,，;；、\n\r\t]+")
#: JSON may hold what no other text can
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_JSON_STARTS = ("{", "[")
_EXPECTED = 'send words parted by commas, a JSON list of strings, or an object such as {"word": 20}'
_MAX_SHOWN_CHARS = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: before the name of a list; twice before a word that begins with it
_LIST_MARK = "@"


class HotwordLists(Protocol):
    """Lists of hotwords that requests may name."""

    def words(self, list_name: str) -> tuple[str, ...]:
        """Raises NotFoundError, which says what there is instead."""
        ...


class WithoutLists:
    """Where nobody keeps lists, such as on the command line."""

    def words(self, list_name: str) -> tuple[str, ...]:
        name = _quoted(list_name)
        raise NotFoundError(
            f"the hotword list {name}: only a server keeps lists; write the words themselves, or"
            " @@ before a word that begins with @"
        )


WITHOUT_LISTS = WithoutLists()


def split_hotwords(text: str, name: str = "hotwords") -> tuple[str, ...]:
    """The words of one string, each once; raises ParameterError where it only begins as JSON.

    JSON is a list of words, or an object of words and weights. Other text is parted by commas or
    lines where it has any, else by spaces.
    """
    text = text.strip()
    if text.startswith(_JSON_STARTS):
        return _json_words(text, name)
    parts = _SEPARATORS.split(text) if _SEPARATORS.search(text) else text.split()
    return _each_once(parts)


def _json_words(text: str, name: str) -> tuple[str, ...]:
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as fault:
        where = f" at character {fault.pos + 1}" if isinstance(fault, json.JSONDecodeError) else ""
        raise ParameterError(
            f"{name} begins as JSON and is not valid JSON{where}; {_EXPECTED}", param=name
        ) from fault
    return hotwords_in(content, name)


def hotwords_in(content: object, name: str = "hotwords") -> tuple[str, ...]:
    """The words of JSON that has been read: a string, a list, or an object of words and weights."""
    if isinstance(content, str):
        return split_hotwords(content, name)
    if isinstance(content, dict):
        _check_weights(content, name)
        content = list(content)
    if not isinstance(content, list):
        raise ParameterError(f"{name}: holds no words; {_EXPECTED}", param=name)
    words = [entry for entry in content if isinstance(entry, str)]
    if len(words) != len(content):
        raise ParameterError(f"{name}: an entry of the list is no string; {_EXPECTED}", param=name)
    if any(_HALF_CHARACTER.search(word) for word in words):
        raise ParameterError(f"{name}: a \\u escape in it is half a character", param=name)
    return _each_once(words)


def _check_weights(words: dict[str, object], name: str) -> None:
    """FunASR's clients send numbers, some of them as strings; our models have no use for them."""
    for word, weight in words.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float | str):
            raise ParameterError(
                f"{name}: the weight of {_quoted(word)} is no number; {_EXPECTED}", param=name
            )


def within_limits(words: Sequence[str], name: str = "hotwords") -> tuple[str, ...]:
    """The same words; raises ParameterError for too many or too long ones."""
    if len(words) > MAX_HOTWORDS:
        raise ParameterError(
            f"{name}: {len(words)} words are more than the {MAX_HOTWORDS} allowed; send those that"
            " matter",
            param=name,
        )
    for word in words:
        if len(word) > MAX_HOTWORD_CHARS:
            raise ParameterError(
                f"{name}: {_quoted(word)} is longer than {MAX_HOTWORD_CHARS} characters; part the"
                " words with commas",
                param=name,
            )
        if _CONTROL.search(word):
            raise ParameterError(
                f"{name}: {_quoted(word)} holds a control character; leave it out", param=name
            )
    return tuple(words)


def expanded(words: Sequence[str], lists: HotwordLists, name: str = "hotwords") -> tuple[str, ...]:
    """The same words, with those of a list in place of each `@list`; `@@word` means `@word`.

    Within the limits, which are those of all words together; raises ParameterError.
    """
    if not any(word.startswith(_LIST_MARK) for word in words):
        return within_limits(words, name)
    refuse_many_lists(words, name)
    found: dict[str, None] = {}
    for word in dict.fromkeys(words):
        meant = _list_words(word[1:], lists, name) if _names_list(word) else (_unmarked(word),)
        found.update(dict.fromkeys(meant))
    return within_limits(tuple(found), name)


def _names_list(word: str) -> bool:
    return word.startswith(_LIST_MARK) and not word.startswith(_LIST_MARK * 2)


def _unmarked(word: str) -> str:
    return word.removeprefix(_LIST_MARK)


def refuse_many_lists(words: Sequence[str], name: str = "hotwords") -> None:
    """Before they are looked at: a thousand full lists take long, whatever comes of them."""
    named = sum(map(_names_list, words))
    if named > MAX_LISTS_NAMED:
        raise ParameterError(
            f"{name}: {named} lists are more than the {MAX_LISTS_NAMED} allowed; put their words"
            " into one",
            param=name,
        )


def _list_words(list_name: str, lists: HotwordLists, name: str) -> tuple[str, ...]:
    try:
        return lists.words(list_name)
    except NotFoundError as fault:
        raise ParameterError(f"{name}: {fault.message}", param=name) from fault


def _each_once(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


def show_words(words: Sequence[str], most: int) -> str:
    """The first of a client's words on one line, and how many more there are."""
    shown = ", ".join(displayed_name(word[:MAX_HOTWORD_CHARS]) for word in words[:most])
    more = len(words) - most
    return f"{shown} and {more:,} more" if more > 0 else shown


def _quoted(word: str) -> str:
    return repr(word if len(word) <= _MAX_SHOWN_CHARS else word[: _MAX_SHOWN_CHARS - 1] + "…")
