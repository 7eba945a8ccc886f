"""Every request counted, timed, traced and logged in one line, when its answer has ended.

ASGI middleware, to be put directly around `CrashAnswer`, so that it sees what clients see. Knows
routes by their templates only, and no text.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxfleet.gateway.http_errors import shown
from voxfleet.observe.logs import with_facts
from voxfleet.observe.metrics import CLIENT_GONE, OTHER, Metrics, outcome_of
from voxfleet.observe.request_record import (
    Fact,
    RequestRecord,
    RequestTracer,
    current_request,
)

_log = logging.getLogger("voxfleet.access")
#: what monitors ask for every few seconds: not traced, and logged for who debugs only
_QUIET = frozenset({"/health", "/livez", "/readyz", "/metrics"})


class RequestMeter:
    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        tracer: RequestTracer | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._routes = RouteNames()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = current_request.get() or RequestRecord("")
        exchange = _MeteredExchange(receive, send)
        self._begin(scope, request)
        began_s = self._clock()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except BaseException:
            exchange.broke_off()
            raise
        finally:
            self._end(scope, request, exchange, self._clock() - began_s)

    def _begin(self, scope: Scope, request: RequestRecord) -> None:
        self._metrics.in_progress.inc()
        headers = Headers(scope=scope)
        if headers.get("x-stainless-retry-count", "0") not in ("0", ""):
            self._metrics.client_retries.inc()
        if self._tracer and scope["path"].removeprefix(scope.get("root_path", "")) not in _QUIET:
            request.span = self._tracer.begin(headers)

    def _end(
        self, scope: Scope, request: RequestRecord, exchange: _MeteredExchange, took_s: float
    ) -> None:
        metrics, route = self._metrics, self._routes.of(scope)
        ending = _ending(exchange, scope.get("state", {}))
        metrics.in_progress.dec()
        metrics.upload_bytes.inc(exchange.received_bytes)
        metrics.request_ended(route, scope["method"], ending.status, took_s, ending.outcome_status)
        if ending.error_code:
            metrics.error_answered(ending.error_code)
        if request.span is not None:
            _end_span(request, scope["method"], route, ending)
        _log_access(scope, request, route, ending, took_s)


@dataclass(frozen=True, slots=True)
class _Ending:
    """`status` is what the client saw; what a stream that began well came to is its outcome's."""

    status: int
    outcome_status: int
    #: empty where nothing went wrong
    error_code: str

    def __str__(self) -> str:
        if self.outcome_status == self.status:
            return str(self.status)
        return f"{self.status}, then {self.outcome_status} {self.error_code}"


def _ending(exchange: _MeteredExchange, state: Mapping[str, object]) -> _Ending:
    """`state` has what the answer noted of its error, and of what became of it later."""
    outcome_status, error_code = state.get("outcome_status"), state.get("error_code")
    status = exchange.status(explained=outcome_status is not None)
    unnamed = "" if status < 400 else "cancelled" if status == CLIENT_GONE else OTHER
    return _Ending(
        status,
        outcome_status if isinstance(outcome_status, int) else status,
        error_code if isinstance(error_code, str) else unnamed,
    )


class _MeteredExchange:
    """What goes in and out of one request."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._status = 500
        self._complete = False
        self._gone = False
        self.received_bytes = 0

    def status(self, *, explained: bool) -> int:
        """As the client saw it; 500 where the app gave no answer, or half of one unexplained."""
        if self._gone:
            return CLIENT_GONE
        return self._status if self._complete or explained else 500

    def broke_off(self) -> None:
        self._status = 500

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.received_bytes += len(message.get("body", b""))
        elif not self._complete:
            self._gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif not message.get("more_body", False):
            self._complete = True
        await self._send(message)


class RouteNames:
    """The template of the route that a request was for; OTHER where there is none.

    FastAPI notes its own routes in the scope, but of the plain ones and of what is mounted only the
    endpoint: those are looked for once each. Of a request that was refused before it came to a
    route nothing is noted.
    """

    def __init__(self) -> None:
        self._by_endpoint: dict[object, str] = {}

    def of(self, scope: Scope) -> str:
        if route := scope.get("route"):
            return getattr(route, "path", "") or OTHER
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return _path_for(scope)
        if endpoint not in self._by_endpoint:
            self._by_endpoint[endpoint] = _path_to(endpoint, scope)
        return self._by_endpoint[endpoint]


def _path_to(endpoint: object, scope: Scope) -> str:
    for route in getattr(scope.get("app"), "routes", ()):
        if getattr(route, "endpoint", getattr(route, "app", None)) == endpoint:
            return getattr(route, "path", "") or OTHER
    return OTHER


def _path_for(scope: Scope) -> str:
    """As the router itself would find it, whatever the method."""
    path = get_route_path(scope)
    for route in iter_route_contexts(getattr(scope.get("app"), "routes", ())):
        pattern: re.Pattern[str] | None = getattr(route, "path_regex", None)
        if pattern and pattern.match(path):
            return route.path or OTHER
    return OTHER


def _end_span(request: RequestRecord, method: str, route: str, ending: _Ending) -> None:
    facts: dict[str, Fact] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": ending.status,
        "voxfleet.request_id": request.id,
    }
    if ending.error_code:
        facts["error.type"] = ending.error_code
    if request.model:
        facts |= {"voxfleet.model": request.model, "voxfleet.audio_seconds": request.audio_s}
    if request.span is not None:
        failed = outcome_of(ending.outcome_status) == "server_error"
        request.span.end(f"{method} {route}", facts, failed=failed)


def _log_access(
    scope: Scope, request: RequestRecord, route: str, ending: _Ending, took_s: float
) -> None:
    level = logging.DEBUG if route in _QUIET else logging.INFO
    if not _log.isEnabledFor(level):
        return
    method, client = shown(scope["method"]), client_shown(scope)
    facts: dict[str, Fact] = {
        "method": method,
        "route": route,
        "status": ending.status,
        "seconds": round(took_s, 4),
        "client": client,
    }
    if ending.error_code:
        facts["error_code"] = ending.error_code
    sound = ""
    if request.model:
        facts |= {"model": request.model, "audio_seconds": round(request.audio_s, 3)}
        sound = f", {request.audio_s:.1f} s of sound by {request.model}"
    message = "%s %s: %s in %.3f s%s, client %s"
    _log.log(level, message, method, route, ending, took_s, sound, client, extra=with_facts(facts))


def client_shown(scope: Scope) -> str:
    """Whose request it was, as whoever checked the keys says; else where it came from."""
    named = scope.get("state", {}).get("client")
    if named:
        return shown(str(named))
    peer = scope.get("client")
    return shown(str(peer[0])) if peer else "unknown"
