"""Dashboards, alert rules and the document ask for metrics, labels and values that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.make_docs import with_part
from scripts.metrics_table import metrics_table
from voxfleet.errors import BY_CODE
from voxfleet.observe.metric_declarations import DECLARATIONS, MetricDeclaration, MetricKind
from voxfleet.observe.stages import Stage
from voxfleet.pool_contract import RestartCause, RetryReason, WorkerState

REPOSITORY = Path(__file__).resolve().parent.parent
DASHBOARD = REPOSITORY / "deploy" / "grafana" / "voxfleet.json"
RULES = REPOSITORY / "deploy" / "prometheus" / "voxfleet-alerts.yml"
DOCUMENT = REPOSITORY / "docs" / "metrics.md"
SEEN_BY_PROMETHEUS = {"job", "instance"}
#: the values of labels that are closed sets
CLOSED: dict[str, set[str]] = {
    "state": set(WorkerState),
    "cause": set(RestartCause),
    "reason": set(RetryReason),
    "stage": set(Stage),
    "code": {*BY_CODE, "other"},
    "outcome": {"success", "client_error", "server_error", "cancelled"},
}
_SELECTOR = re.compile(r"\b(voxfleet_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\bby \(([^)]*)\)")


def by_series() -> dict[str, MetricDeclaration]:
    """Declarations by the names of the series that they make."""
    found = {}
    for declared in DECLARATIONS:
        histogram = declared.kind is MetricKind.HISTOGRAM
        for suffix in ("_bucket", "_sum", "_count") if histogram else ("",):
            found[declared.name + suffix] = declared
    return found


def expressions() -> Iterator[str]:
    """Every query of the dashboard and of the rules."""
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (variable.get("definition", "") for variable in dashboard()["templating"]["list"])
    yield from (note["expr"] for note in dashboard()["annotations"]["list"])
    yield from (rule["expr"] for rule in rules())


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return board


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def faults_of(expression: str) -> list[str]:
    known, faults = by_series(), []
    labels_here: set[str] = set()
    for name, matchers in _SELECTOR.findall(expression):
        if name not in known:
            faults.append(f"no metric {name}")
            continue
        labels = {*known[name].labels, *SEEN_BY_PROMETHEUS}
        labels |= {"le"} if name.endswith("_bucket") else set()
        labels_here |= labels
        for label, _, value in _MATCHER.findall(matchers):
            faults += fault_of_matcher(name, label, value, labels)
    for grouping in _GROUPING.findall(expression):
        wanted = {label.strip() for label in grouping.split(",")}
        faults += [f"no label {label} to group by" for label in wanted - labels_here]
    return faults


def fault_of_matcher(name: str, label: str, value: str, labels: set[str]) -> list[str]:
    if label not in labels:
        return [f"{name} has no label {label}"]
    # variables and patterns are for the reader to fill
    strange = set(value.split("|")) - CLOSED.get(label, {*value.split("|")})
    return [f"{label} is never {one}" for one in strange if not one.startswith("$")]


def test_every_query_finds_what_it_asks_for() -> None:
    wrong = {query: faults for query in expressions() if (faults := faults_of(query))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("sum(rate(voxfleet_requests_total[5m]))", None),
        ('voxfleet_worker_state{job="x", state=~"ready|failed", pool=~"$pool"}', None),
        ("voxfleet_requests", "no metric voxfleet_requests"),
        ("voxfleet_stage_duration_seconds", "no metric voxfleet_stage_duration_seconds"),
        ('voxfleet_batches_total{route="/"}', "voxfleet_batches_total has no label route"),
        ('voxfleet_worker_state{state="redy"}', "state is never redy"),
        ("sum by (model) (voxfleet_batches_total)", "no label model to group by"),
    ],
)
def test_queries_are_really_checked(query: str, fault: str | None) -> None:
    assert faults_of(query) == ([fault] if fault else [])


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    used = {name for query in expressions() for name, _ in _SELECTOR.findall(query)}
    unseen = {d.name for d in DECLARATIONS} - {by_series()[name].name for name in used}
    assert unseen <= {"voxfleet_queue_audio_seconds", "voxfleet_worker_busy"}


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert panel["title"]
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells


def test_rules_say_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "remedy"}
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_the_scrape_example_names_the_rules_and_the_job_that_they_ask_for() -> None:
    config = yaml.safe_load((RULES.parent / "prometheus.yml").read_text(encoding="utf-8"))
    assert config["rule_files"] == [RULES.name]
    assert [job["job_name"] for job in config["scrape_configs"]] == ["voxfleet"]


def test_the_document_has_every_metric() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_part(text, "metrics", metrics_table()) == text, "docs/metrics.md is stale"
    for cause in RestartCause:
        assert f"`{cause}`" in text
    for stage in Stage:
        assert f"`{stage}`" in text
