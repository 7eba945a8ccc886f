"""A page of metrics read back, as a scraper reads it."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_text

from voxfleet.observe.metrics import Metrics

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values_of(families: Iterable[Metric]) -> Values:
    """Every sample by its name and labels; a sample told twice is a fault of the page."""
    values: Values = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in values, key
            values[key] = sample.value
    return values


def scraped(text: str, *, open_metrics: bool = False) -> Values:
    read = read_open if open_metrics else read_text
    return values_of(read(text))


def counted(metrics: Metrics, seen: Iterable[Metric] = ()) -> Values:
    page, _ = metrics.page("", seen)
    return scraped(page.decode())


def sample(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())
