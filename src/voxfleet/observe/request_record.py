"""The request that the running code works for: its id, its span, and what came of it.

Every task started for a request sees its record, as tasks inherit the context they are made in.
Knows no HTTP and no library for traces.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

Fact = str | int | float


class RequestSpan(Protocol):
    """A request's span in a trace."""

    def child(self, name: str, took_s: float, ended_ago_s: float) -> None:
        """Something that the request went through, told when it was over."""
        ...

    def end(self, name: str, facts: Mapping[str, Fact], *, failed: bool) -> None: ...


class RequestTracer(Protocol):
    """Begins a span for a request, or none where this one is not to be traced."""

    def begin(self, headers: Mapping[str, str]) -> RequestSpan | None:
        """`headers` may name the trace that the client has begun."""
        ...


@dataclass(slots=True)
class RequestRecord:
    """`model` and `audio_s` stay empty where a request had no sound, or came to nothing."""

    id: str
    span: RequestSpan | None = None
    model: str = ""
    audio_s: float = 0.0


#: None outside of any request
current_request: ContextVar[RequestRecord | None] = ContextVar("current_request", default=None)
