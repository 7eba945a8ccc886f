"""Log lines as JSON objects."""

from __future__ import annotations

import json
import logging
import sys

from voxfleet.observe.logs import JsonLines


def test_a_line_is_one_object() -> None:
    record = logging.LogRecord("voxfleet.x", logging.INFO, "", 0, "took\n%d s", (3,), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    shown = json.loads(line)
    assert (shown["level"], shown["logger"], shown["message"]) == (
        "info",
        "voxfleet.x",
        "took\n3 s",
    )


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "ValueError: boom" in json.loads(line)["traceback"]
