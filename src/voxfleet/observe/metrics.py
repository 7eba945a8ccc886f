"""What this server counts as it happens, and the page that a scrape gets.

What snapshots tell already is not counted again: it is read from them when somebody scrapes. Each
server has its own registry. Knows neither HTTP nor the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from voxfleet.errors import BY_CODE
from voxfleet.observe import metric_declarations as declared
from voxfleet.observe.metric_declarations import MetricDeclaration
from voxfleet.observe.session_watch import SessionOutcome
from voxfleet.observe.stages import Stage

#: what stands for everything that has no label value of its own
OTHER = "other"
#: the status of a request whose client has gone away
CLIENT_GONE = 499
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Kind = TypeVar("Kind", Counter, Gauge, Histogram)


class Metrics:
    """Called by the event loop alone; the page may be made in a thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._requests = self._new(Counter, declared.REQUESTS)
        self._seconds = _histogram(declared.REQUEST_SECONDS, self._registry)
        self._errors = self._new(Counter, declared.REQUEST_ERRORS)
        self._audio_s = self._new(Counter, declared.AUDIO_SECONDS)
        self.in_progress = self._new(Gauge, declared.REQUESTS_IN_PROGRESS)
        self.upload_bytes = self._new(Counter, declared.UPLOAD_BYTES)
        self.client_retries = self._new(Counter, declared.CLIENT_RETRIES)
        stages = _histogram(declared.STAGE_SECONDS, self._registry)
        self._stages = {stage: stages.labels(stage) for stage in Stage}
        self._sessions_open = self._new(Gauge, declared.SESSIONS_OPEN)
        self._sessions = self._new(Counter, declared.SESSIONS)
        self._readings = self._new(Counter, declared.READINGS)
        self._utterances = _histogram(declared.UTTERANCE_SECONDS, self._registry)
        # finding a child by its labels costs more than counting
        self._by_kind: dict[tuple[str, str, int, int], tuple[Counter, Histogram]] = {}
        self._by_code: dict[str, Counter] = {}

    def _new(self, kind: type[Kind], declaration: MetricDeclaration) -> Kind:
        return kind(
            declaration.name, declaration.about, declaration.labels, registry=self._registry
        )

    # -- what happens -------------------------------------------------------------------------

    def request_ended(
        self,
        route: str,
        method: str,
        status: int,
        took_s: float,
        outcome_status: int | None = None,
    ) -> None:
        """`route` must be one of the server's templates, or OTHER; `outcome_status` says what came
        of an answer that was something else than its status promised.
        """
        outcome_status = status if outcome_status is None else outcome_status
        key = (route, method, status, outcome_status)
        known = self._by_kind.get(key)
        if known is None:
            shown = method if method in _METHODS else OTHER
            known = self._by_kind[route, shown, status, outcome_status] = (
                self._requests.labels(route, shown, str(status)),
                self._seconds.labels(route, outcome_of(outcome_status)),
            )
        count, seconds = known
        count.inc()
        seconds.observe(took_s)

    def error_answered(self, code: str) -> None:
        counter = self._by_code.get(code)
        if counter is None:
            shown = code if code in BY_CODE else OTHER
            counter = self._by_code[shown] = self._errors.labels(shown)
        counter.inc()

    def stage_took(self, stage: Stage, took_s: float) -> None:
        self._stages[stage].observe(took_s)

    def sound_answered(self, model: str, audio_s: float) -> None:
        self._audio_s.labels(model).inc(audio_s)

    # -- realtime sessions --------------------------------------------------------------------

    def session_opened(self) -> None:
        self._sessions_open.inc()

    def session_ended(self, outcome: SessionOutcome) -> None:
        self._sessions_open.dec()
        self._sessions.labels(outcome).inc()

    def session_refused(self) -> None:
        self._sessions.labels(SessionOutcome.REFUSED).inc()

    def reading_asked(self, *, final: bool) -> None:
        self._readings.labels("final" if final else "partial").inc()

    def utterance_told(self, took_s: float) -> None:
        self._utterances.observe(took_s)

    # -- what is shown ------------------------------------------------------------------------

    def page(self, accept: str, seen: Iterable[Metric]) -> tuple[bytes, str]:
        """All that was counted and `seen`, in the format that `accept` asks for, and its type."""
        encode, content_type = choose_encoder(accept)
        return encode(_Page(self._registry, seen)), content_type


class _Page(CollectorRegistry):
    """One scrape. Without the times at which counters were made: they double its size."""

    def __init__(self, counted: CollectorRegistry, seen: Iterable[Metric]) -> None:
        super().__init__()
        self._counted = counted
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        for family in self._counted.collect():
            kept = [sample for sample in family.samples if not sample.name.endswith("_created")]
            family.samples = kept
            yield family
        yield from self._seen


def outcome_of(status: int) -> str:
    if status == CLIENT_GONE:
        return "cancelled"
    if status >= 500:
        return "server_error"
    return "client_error" if status >= 400 else "success"


def _histogram(declaration: MetricDeclaration, registry: CollectorRegistry) -> Histogram:
    return Histogram(
        declaration.name,
        declaration.about,
        declaration.labels,
        buckets=declaration.buckets,
        registry=registry,
    )
