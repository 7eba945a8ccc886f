"""What a client may call a hotword list, and what it may put into one. Pure; keeps no list.

A name is text and nothing else: nobody makes a path of it.
"""

from __future__ import annotations

import json
import unicodedata

from voxfleet.errors import ParameterError
from voxfleet.gateway.http_errors import shown
from voxfleet.transcribe.hotword_text import (
    MAX_HOTWORD_CHARS,
    MAX_HOTWORDS,
    hotwords_in,
    within_limits,
)

MAX_NAME_CHARS = 64
#: every character written as JSON escapes it at most, and its word's quotes and weight
MAX_BODY_BYTES = MAX_HOTWORDS * (MAX_HOTWORD_CHARS * 12 + 30)
_SIGNS = frozenset("._-")
_EXPECTED = 'send {"words": […]}'


def checked_name(name: str) -> str:
    """The name in the one spelling it is kept under; raises ParameterError."""
    normal = normal_name(name)
    if not 1 <= len(normal) <= MAX_NAME_CHARS:
        raise _no_name(name, f"it has {len(normal)} characters")
    if not _is_letter_or_digit(normal[0]):
        raise _no_name(name, "it begins with another character")
    if not all(_may_follow(char) for char in normal):
        raise _no_name(name, "it holds another character")
    return normal


def normal_name(name: str) -> str:
    """Letters that can be written in several ways are one letter, whoever's keyboard wrote them."""
    return unicodedata.normalize("NFC", name)


def _no_name(name: str, fault: str) -> ParameterError:
    return ParameterError(
        f"name '{shown(name, MAX_NAME_CHARS)}' is none for a hotword list: {fault}; use 1 to"
        f" {MAX_NAME_CHARS} letters, digits and . _ - with a letter or digit first",
        param="name",
    )


def _is_letter_or_digit(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "L" or category == "Nd"


def _may_follow(char: str) -> bool:
    # marks belong to the letters of many scripts
    return char in _SIGNS or _is_letter_or_digit(char) or unicodedata.category(char)[0] == "M"


def read_words(body: bytes) -> tuple[str, ...]:
    """The words of `{"words": …}`, in any form that a request's `hotwords` may have."""
    words = hotwords_in(_content(body), "words")
    if not words:
        raise ParameterError("words: there is none; to remove a list, DELETE it", param="words")
    for word in within_limits(words, "words"):
        if not word.isprintable():
            raise ParameterError(
                f"words: '{shown(word)}' holds a character that nobody can say; leave it out",
                param="words",
            )
    return words


def _content(body: bytes) -> object:
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        raise ParameterError(f"body: is not valid JSON; {_EXPECTED}", param="body") from None
    if not isinstance(content, dict) or "words" not in content:
        raise ParameterError(f"body: has no words; {_EXPECTED}", param="body")
    for key in content:
        if key != "words":
            raise ParameterError(f"body: '{shown(key)}' is unknown; {_EXPECTED}", param="body")
    return content["words"]
