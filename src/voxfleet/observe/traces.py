"""Traces of requests, for a server that is told where to send them; loads OpenTelemetry only then.

Knows neither requests nor stages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxfleet.errors import StartError

if TYPE_CHECKING:
    from voxfleet.observe.otel_spans import OtelTracer


def open_traces(endpoint: str, sample_ratio: float, version: str) -> OtelTracer | None:
    """None where there is nowhere to send them; raises StartError where what it takes is missing.

    Whoever opens it shuts it down.
    """
    if not endpoint:
        return None
    try:
        from voxfleet.observe.otel_spans import OtelTracer, otlp_exporter
    except ImportError as fault:
        raise StartError(
            f"traces.endpoint is set, but {fault.name or 'OpenTelemetry'} is not installed:"
            " pip install 'voxfleet[otel]'",
            param="traces.endpoint",
        ) from None
    return OtelTracer(otlp_exporter(endpoint), sample_ratio, version)
