"""What is counted as it happens, and how it is shown."""

from __future__ import annotations

import pytest

from tests.unit.metric_pages import OPEN_METRICS, counted, sample, scraped
from voxfleet.observe.metric_declarations import DECLARATIONS, MetricKind
from voxfleet.observe.metrics import Metrics, outcome_of
from voxfleet.observe.stages import Stage, Stages


def test_requests_are_counted_by_route_method_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 404):
        metrics.request_ended("/asr", "POST", status, 0.2)
    values = counted(metrics)
    name = "voxfleet_requests_total"
    assert values[sample(name, route="/asr", method="POST", status="200")] == 2
    assert values[sample(name, route="/asr", method="POST", status="404")] == 1
    seconds = "voxfleet_request_duration_seconds"
    assert values[sample(f"{seconds}_count", route="/asr", outcome="success")] == 2
    assert values[sample(f"{seconds}_sum", route="/asr", outcome="client_error")] == 0.2


def test_what_came_of_a_stream_is_its_outcome_and_not_its_status() -> None:
    metrics = Metrics()
    for outcome_status in (200, 504):
        metrics.request_ended("/asr", "POST", 200, 0.2, outcome_status)
    values = counted(metrics)
    assert values[sample("voxfleet_requests_total", route="/asr", method="POST", status="200")] == 2
    seconds = "voxfleet_request_duration_seconds_count"
    assert values[sample(seconds, route="/asr", outcome="success")] == 1
    assert values[sample(seconds, route="/asr", outcome="server_error")] == 1


def test_methods_that_nobody_knows_make_no_series_of_their_own() -> None:
    metrics = Metrics()
    for method in ("BREW", "WHEN"):
        metrics.request_ended("other", method, 405, 0.01)
    name = "voxfleet_requests_total"
    assert counted(metrics)[sample(name, route="other", method="other", status="405")] == 2


def test_codes_are_those_of_our_errors() -> None:
    metrics = Metrics()
    for code in ("overloaded", "not one of ours", "nor this"):
        metrics.error_answered(code)
    values = counted(metrics)
    errors = {key: value for key, value in values.items() if "request_errors" in key[0]}
    assert errors == {
        sample("voxfleet_request_errors_total", code="overloaded"): 1,
        sample("voxfleet_request_errors_total", code="other"): 2,
    }


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "success"), (304, "success"), (429, "client_error"), (499, "cancelled"),
     (503, "server_error")],
)  # fmt: skip
def test_outcomes(status: int, outcome: str) -> None:
    assert outcome_of(status) == outcome


def test_every_stage_is_there_before_anything_has_happened() -> None:
    values = counted(Metrics())
    name = "voxfleet_stage_duration_seconds_count"
    assert {values[sample(name, stage=stage)] for stage in Stage} == {0}


def test_stages_and_sound_reach_the_page() -> None:
    metrics = Metrics()
    ticks = iter([10.0, 10.25])
    stages = Stages(metrics, clock=lambda: next(ticks))
    with stages.timed(Stage.UPLOAD):
        pass
    stages.answered("fake", 12.5)
    values = counted(metrics)
    assert values[sample("voxfleet_stage_duration_seconds_sum", stage="upload")] == 0.25
    assert values[sample("voxfleet_stage_duration_seconds_bucket", stage="upload", le="0.1")] == 0
    assert values[sample("voxfleet_stage_duration_seconds_bucket", stage="upload", le="0.25")] == 1
    assert values[sample("voxfleet_audio_seconds_total", model="fake")] == 12.5


def test_a_stage_that_fails_counts_too() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError, match="bad"), Stages(metrics).timed(Stage.STITCH):
        raise ValueError("bad")
    name = "voxfleet_stage_duration_seconds_count"
    assert counted(metrics)[sample(name, stage="stitch")] == 1


def test_the_page_comes_in_the_format_asked_for() -> None:
    metrics = Metrics()
    metrics.request_ended("/asr", "POST", 200, 0.2)
    plain, plain_type = metrics.page("text/plain", ())
    opened, open_type = metrics.page(OPEN_METRICS, ())
    assert plain_type.startswith("text/plain; version=")
    assert open_type.startswith("application/openmetrics-text; version=1.0.0")
    assert opened.endswith(b"# EOF\n")
    name = "voxfleet_requests_total"
    labels = {"route": "/asr", "method": "POST", "status": "200"}
    assert scraped(plain.decode())[sample(name, **labels)] == 1
    assert scraped(opened.decode(), open_metrics=True)[sample(name, **labels)] == 1
    assert b"_created" not in plain + opened


def test_the_process_itself_is_told_and_servers_do_not_mix() -> None:
    first, second = Metrics(), Metrics()
    first.client_retries.inc()
    assert counted(first)[sample("process_resident_memory_bytes")] > 1e6
    assert counted(second)[sample("voxfleet_client_retries_total")] == 0


def test_declarations_follow_the_conventions() -> None:
    names = [declared.name for declared in DECLARATIONS]
    assert len(set(names)) == len(names)
    for declared in DECLARATIONS:
        assert declared.name.startswith("voxfleet_")
        assert declared.name.endswith("_total") == (declared.kind is MetricKind.COUNTER)
        assert declared.about.rstrip().endswith(".")
        assert bool(declared.buckets) == (declared.kind is MetricKind.HISTOGRAM)
