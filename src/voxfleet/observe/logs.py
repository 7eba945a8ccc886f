"""Log lines on standard error, for people or as JSON objects. Knows nothing of what is logged.

Lines of code that works for a request carry its id. No transcript is ever logged unless the
settings ask for it: callers name requests, not texts.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from voxfleet.observe.request_record import Fact, current_request


class JsonLines(logging.Formatter):
    """One JSON object a line: time (RFC 3339), level, logger, message, the request's id, the facts
    that the message is made of where it has some, and the traceback if any.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Fact] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := current_request.get():
            line["request_id"] = request.id
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """For people: the request's id stands in brackets before the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(request)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        request = current_request.get()
        record.request = f"[{request.id}] " if request else ""
        return super().format(record)


def with_facts(facts: Mapping[str, Fact]) -> dict[str, Mapping[str, Fact]]:
    """For `extra`: what a JSON line says in fields of its own, besides the message."""
    return {"facts": facts}


class Lines(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


def configure_logging(level: str, line_format: str, stream: Lines | None = None) -> None:
    """Send every logger's lines to `stream`, or standard error; called once, by a process."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if line_format == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
