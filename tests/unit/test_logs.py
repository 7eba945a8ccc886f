"""Log lines as JSON objects."""

from __future__ import annotations

import json
import logging
import sys

from voxfleet.observe.logs import JsonLines, TextLines, with_facts
from voxfleet.observe.request_record import RequestRecord, current_request


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


def line_of(formatter: logging.Formatter, **extra: object) -> str:
    record = logging.LogRecord("voxfleet.x", logging.INFO, "", 0, "done", (), None)
    record.__dict__.update(extra)
    return formatter.format(record)


def test_lines_of_a_request_carry_its_id() -> None:
    token = current_request.set(RequestRecord("req-7"))
    try:
        assert json.loads(line_of(JsonLines()))["request_id"] == "req-7"
        assert line_of(TextLines()).endswith("INFO    voxfleet.x: [req-7] done")
    finally:
        current_request.reset(token)


def test_lines_of_nobody_have_none() -> None:
    assert "request_id" not in json.loads(line_of(JsonLines()))
    assert line_of(TextLines()).endswith("INFO    voxfleet.x: done")


def test_facts_are_fields_of_a_json_line() -> None:
    extra = with_facts({"status": 200, "route": "/asr"})
    line = json.loads(line_of(JsonLines(), **extra))
    assert (line["status"], line["route"], line["message"]) == (200, "/asr", "done")
