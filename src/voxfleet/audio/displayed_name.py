"""How a client's file name appears in messages and logs. Knows nothing of paths or files."""

from __future__ import annotations

_LONGEST = 200


def displayed_name(name: str) -> str:
    """The name on one line: what a terminal or a log could misread is escaped, a long one cut."""
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in name
    )
    if len(shown) > _LONGEST:
        shown = shown[:_LONGEST] + "..."
    return shown or "(unnamed file)"
