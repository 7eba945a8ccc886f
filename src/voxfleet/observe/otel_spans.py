"""Spans of requests with OpenTelemetry: sampled, kept in a bounded queue, sent by a thread.

A collector that is away costs spans and one line in the log, never a request. Knows no HTTP route.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from voxfleet.observe.request_record import Fact

_log = logging.getLogger(__name__)
#: spans that wait to be sent; what comes then is dropped
_QUEUED_SPANS = 4096
_SEND_EVERY_S = 5.0
_SEND_TIMEOUT_S = 10.0
#: stages of one request: a long file has thousands of segments, of which the first say enough
MAX_CHILDREN = 128
_NS_PER_S = 1_000_000_000


def otlp_exporter(endpoint: str) -> SpanExporter:
    # its own lines come with every batch, and with every span once the queue is full
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return ToldOnce(
        OTLPSpanExporter(endpoint=endpoint, timeout=_SEND_TIMEOUT_S),
        urlsplit(endpoint).hostname or "",
    )


class ToldOnce(SpanExporter):
    """Says when the collector goes away and when it is back, and nothing in between."""

    def __init__(self, exporter: SpanExporter, host: str) -> None:
        self._exporter = exporter
        self._host = host
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        away = result is not SpanExportResult.SUCCESS
        if away and not self._away:
            _log.warning(
                "traces: the collector at %s does not take them, so they are lost until it does;"
                " see traces.endpoint",
                self._host,
            )
        elif self._away and not away:
            _log.info("traces: the collector at %s takes them again", self._host)
        self._away = away
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class OtelTracer:
    """`sample_ratio` is of the requests whose client has not decided itself."""

    def __init__(
        self,
        exporter: SpanExporter,
        sample_ratio: float,
        version: str,
        send_every_s: float = _SEND_EVERY_S,
    ) -> None:
        self._exporter = exporter
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            resource=Resource.create({SERVICE_NAME: "voxfleet", SERVICE_VERSION: version}),
            # the server has an order of its own for stopping
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=_QUEUED_SPANS,
                schedule_delay_millis=send_every_s * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("voxfleet", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: Mapping[str, str]) -> OtelRequestSpan | None:
        context = self._propagator.extract(headers)
        span = self._tracer.start_span("request", context=context, kind=SpanKind.SERVER)
        return OtelRequestSpan(self._tracer, span) if span.is_recording() else None

    def shutdown(self, limit_s: float) -> None:
        """Send what is left, for so long at most. Blocks."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(limit_s)
        if ending.is_alive():
            # it waits for a collector that does not answer
            self._exporter.shutdown()


class OtelRequestSpan:
    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._context = set_span_in_context(span)
        self._children = 0

    def child(self, name: str, took_s: float, ended_ago_s: float) -> None:
        self._children += 1
        if self._children > MAX_CHILDREN:
            return
        end_ns = time.time_ns() - round(ended_ago_s * _NS_PER_S)
        start_ns = end_ns - round(took_s * _NS_PER_S)
        self._tracer.start_span(name, context=self._context, start_time=start_ns).end(end_ns)

    def end(self, name: str, facts: Mapping[str, Fact], *, failed: bool) -> None:
        self._span.update_name(name)
        self._span.set_attributes(facts)
        if self._children > MAX_CHILDREN:
            left_out = self._children - MAX_CHILDREN
            self._span.set_attribute("voxfleet.stages_left_out", left_out)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
