"""Traces as a collector receives them, and what becomes of a server without one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from voxfleet.observe.otel_spans import OtelTracer, otlp_exporter


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP as a real one does; with `status` set it refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.received: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        self.status = 200

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.received
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)
        if self.server.status == 200:
            self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join(timeout=10)


def trace_requests(tracer: OtelTracer, count: int) -> None:
    for _ in range(count):
        span = tracer.begin({})
        assert span is not None
        span.child("upload", 0.5, 0.0)
        span.end("POST /asr", {"http.route": "/asr"}, failed=False)


def test_a_collector_receives_requests_and_stages() -> None:
    with collecting() as collector:
        tracer = OtelTracer(otlp_exporter(collector.endpoint), 1.0, "1.2.3")
        trace_requests(tracer, 3)
        tracer.shutdown(10.0)
        spans = collector.spans()
        roots = {span.span_id: span for span in spans if not span.parent_span_id}
        assert collector.paths[0] == "/v1/traces"
        assert [span.name for span in roots.values()] == ["POST /asr"] * 3
        assert {span.parent_span_id for span in spans if span.parent_span_id} == set(roots)
        told = collector.received[0].resource_spans[0].resource.attributes
        names = {attribute.key: attribute.value.string_value for attribute in told}
        assert (names["service.name"], names["service.version"]) == ("voxfleet", "1.2.3")


def test_spans_go_out_while_the_server_runs() -> None:
    with collecting() as collector:
        exporter = otlp_exporter(collector.endpoint)
        tracer = OtelTracer(exporter, 1.0, "1", send_every_s=0.05)
        trace_requests(tracer, 1)
        deadline_s = time.monotonic() + 10
        while len(collector.spans()) < 2:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        tracer.shutdown(10.0)


def test_a_collector_that_refuses_costs_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with collecting() as collector:
        collector.status = 400
        exporter = otlp_exporter(collector.endpoint)
        tracer = OtelTracer(exporter, 1.0, "1", send_every_s=0.02)
        for number in range(1, 4):
            trace_requests(tracer, 1)
            deadline_s = time.monotonic() + 10
            while len(collector.paths) < number:
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
        tracer.shutdown(10.0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "127.0.0.1 does not take them" in caplog.text


def test_a_dead_collector_slows_neither_requests_nor_the_end() -> None:
    with collecting() as collector:
        endpoint = collector.endpoint
    tracer = OtelTracer(otlp_exporter(endpoint), 1.0, "1")
    began_s = time.perf_counter()
    # more than the queue holds
    trace_requests(tracer, 3000)
    assert (time.perf_counter() - began_s) / 3000 < 0.002
    began_s = time.perf_counter()
    tracer.shutdown(0.5)
    assert time.perf_counter() - began_s < 3.0


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_what_is_missing_is_named_with_the_remedy() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from voxfleet.errors import StartError\n"
        "from voxfleet.observe.traces import open_traces\n"
        "try: open_traces('http://127.0.0.1:1/v1/traces', 1.0, '1')\n"
        "except StartError as fault: print(fault.message)"
    )
    told = run(code)
    assert told.startswith("traces.endpoint is set, but opentelemetry")
    assert "pip install 'voxfleet[otel]'" in told


def test_nothing_of_it_is_loaded_before_it_is_wanted() -> None:
    code = (
        "import sys, voxfleet.assemble, voxfleet.gateway.request_meter, voxfleet.observe.traces\n"
        "voxfleet.observe.traces.open_traces('', 1.0, '1')\n"
        "print(sum(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert run(code) == "0"
