"""JSON for answers that may be long, written in pieces. Pure.

Python's encoder lets no other thread run until it is done: whoever writes ten hours of words in a
thread would have the event loop wait for it all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

#: of a list, written in one go: about a millisecond
_ENTRIES_AT_ONCE = 256
_encoded = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_text(body: Mapping[str, object]) -> str:
    """As `json.dumps`; raises ValueError for a number that JSON cannot say."""
    return "".join(json_pieces(body))


def json_pieces(body: Mapping[str, object]) -> Iterator[str]:
    """Together they are the text. Lists are looked for at the top only."""
    separator = "{"
    for name, value in body.items():
        yield f"{separator}{_encoded(name)}: "
        separator = ", "
        yield from _value(value)
    yield "}" if body else "{}"


def _value(value: object) -> Iterator[str]:
    if not isinstance(value, list) or len(value) <= _ENTRIES_AT_ONCE:
        yield _encoded(value)
        return
    separator = "["
    for first in range(0, len(value), _ENTRIES_AT_ONCE):
        part = _encoded(value[first : first + _ENTRIES_AT_ONCE])
        yield separator + part[1:-1]
        separator = ", "
    yield "]"
