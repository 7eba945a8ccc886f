"""What every message between processes has in common, and an error on its way. Knows no message."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, tag=True):
    """The root of everything that travels."""


class Failure(msgspec.Struct, frozen=True):
    """A VoxfleetError on its way: `code` finds its class again (`errors.rebuild`)."""

    code: str
    message: str
    param: str | None = None
