"""Spans of requests: their parents, their times, how many there are, and which are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from voxfleet.observe.otel_spans import MAX_CHILDREN, OtelTracer, ToldOnce
from voxfleet.observe.traces import open_traces

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}


class Rig:
    def __init__(self, sample_ratio: float = 1.0) -> None:
        self._memory = InMemorySpanExporter()
        self.tracer = OtelTracer(self._memory, sample_ratio, "1.2.3")

    def spans(self) -> list[ReadableSpan]:
        self.tracer.shutdown(10.0)
        return list(self._memory.get_finished_spans())


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.tracer.shutdown(10.0)


def test_a_request_and_its_stages_are_one_trace(rig: Rig) -> None:
    before_ns = time.time_ns()
    span = rig.tracer.begin({})
    assert span is not None
    span.child("wait", 2.0, 1.0)
    span.end("POST /asr", {"http.route": "/asr", "voxfleet.audio_seconds": 2.5}, failed=False)
    child, root = rig.spans()
    assert (root.name, root.kind, root.parent) == ("POST /asr", SpanKind.SERVER, None)
    assert dict(root.attributes or {}) == {"http.route": "/asr", "voxfleet.audio_seconds": 2.5}
    assert root.status.is_ok
    assert root.resource.attributes["service.name"] == "voxfleet"
    assert child.name == "wait"
    assert child.parent is not None
    assert child.parent == root.context
    assert child.start_time is not None
    assert child.end_time is not None
    assert child.end_time - child.start_time == 2_000_000_000
    assert abs(child.end_time + 1_000_000_000 - before_ns) < 500_000_000


def test_the_clients_trace_is_gone_on_with(rig: Rig) -> None:
    span = rig.tracer.begin(SAMPLED)
    assert span is not None
    span.end("GET /", {}, failed=True)
    [root] = rig.spans()
    assert root.parent is not None
    assert format(root.parent.span_id, "016x") == PARENT_ID
    assert format(root.parent.trace_id, "032x") == TRACE_ID
    assert not root.status.is_ok


@pytest.mark.parametrize("line", ["", "00-zz-zz-01", "x" * 100_000, "00-" + "0" * 32 + "-1-01"])
def test_nonsense_begins_a_trace_of_its_own(rig: Rig, line: str) -> None:
    span = rig.tracer.begin({"traceparent": line})
    assert span is not None
    span.end("GET /", {}, failed=False)
    assert rig.spans()[0].parent is None


@pytest.mark.parametrize(
    ("ratio", "headers", "traced"),
    [(0.0, {}, False), (1.0, {}, True), (0.0, SAMPLED, True), (1.0, NOT_SAMPLED, False)],
)
def test_whether_a_request_is_traced(ratio: float, headers: dict[str, str], traced: bool) -> None:
    rig = Rig(ratio)
    span = rig.tracer.begin(headers)
    assert (span is not None) == traced
    rig.tracer.shutdown(10.0)


def test_a_long_file_does_not_fill_the_trace(rig: Rig) -> None:
    span = rig.tracer.begin({})
    assert span is not None
    for _ in range(MAX_CHILDREN + 10):
        span.child("compute", 0.1, 0.0)
    span.end("POST /asr", {}, failed=False)
    *children, root = rig.spans()
    assert len(children) == MAX_CHILDREN
    assert (root.attributes or {})["voxfleet.stages_left_out"] == 10


class Moody(SpanExporter):
    def __init__(self) -> None:
        self.mood = SpanExportResult.SUCCESS

    def export(self, spans: object) -> SpanExportResult:
        return self.mood

    def shutdown(self) -> None: ...


def test_a_collector_that_is_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    moody = Moody()
    exporter = ToldOnce(moody, "collector")
    for mood in "SFFFSS":
        moody.mood = SpanExportResult.SUCCESS if mood == "S" else SpanExportResult.FAILURE
        exporter.export(())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_no_endpoint_no_tracer() -> None:
    assert open_traces("", 1.0, "1") is None
