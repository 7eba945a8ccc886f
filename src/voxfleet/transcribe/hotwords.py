"""Hotwords as people write them, and as a list. Pure; knows no model's limits."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[,，;；、\n\r\t]+")


def split_hotwords(text: str) -> tuple[str, ...]:
    """One string of hotwords: parted by commas or lines where it has any, else by spaces."""
    parts = _SEPARATORS.split(text) if _SEPARATORS.search(text) else text.split()
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
