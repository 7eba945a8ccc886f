"""Every request counted once, under its route's template, however it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.unit.metric_pages import Values, counted, sample
from voxfleet.gateway.request_edge import RequestId
from voxfleet.gateway.request_meter import RequestMeter
from voxfleet.observe.metrics import Metrics
from voxfleet.observe.request_record import Fact, current_request
from voxfleet.observe.stages import Stage, Stages


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


async def failed(request: Request) -> Response:
    request.scope["state"]["error_code"] = "overloaded"
    return PlainTextResponse("no", 503)


async def begun(request: Request) -> Response:
    """Well, and then not to its end."""
    request.scope["state"] |= {"error_code": "poison", "outcome_status": 422}
    return PlainTextResponse("error")


async def broken(_: Request) -> Response:
    raise ZeroDivisionError


class SpanBook:
    """A tracer that remembers, and its only span."""

    def __init__(self) -> None:
        self.headers: list[Mapping[str, str]] = []
        self.children: list[tuple[str, float, float]] = []
        self.ended: list[tuple[str, Mapping[str, Fact], bool]] = []

    def begin(self, headers: Mapping[str, str]) -> SpanBook:
        self.headers.append(headers)
        return self

    def child(self, name: str, took_s: float, ended_ago_s: float) -> None:
        self.children.append((name, took_s, ended_ago_s))

    def end(self, name: str, facts: Mapping[str, Fact], *, failed: bool) -> None:
        self.ended.append((name, facts, failed))


class Rig:
    def __init__(self, app: ASGIApp | None = None) -> None:
        routes = [
            Route("/files/{name}", echo, methods=["POST", "GET"]),
            Route("/failed", failed),
            Route("/begun", begun),
            Route("/broken", broken),
            Route("/livez", echo),
        ]
        self.metrics = Metrics()
        self.spans = SpanBook()
        meter = RequestMeter(app or Starlette(routes=routes), self.metrics, self.spans)
        self.app = RequestId(meter)

    async def ask(
        self,
        path: str,
        method: str = "GET",
        *messages: Message,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> list[Message]:
        arriving = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]
        sent: list[Message] = []

        async def receive() -> Message:
            return arriving.pop(0) if arriving else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"x-request-id", b"req-1"), *headers],
            "client": ("10.0.0.7", 5000),
        }
        await self.app(scope, receive, send)
        return sent

    def values(self) -> Values:
        return counted(self.metrics)

    def count(self, route: str, status: int, method: str = "GET") -> float:
        labels = {"route": route, "method": method, "status": str(status)}
        return self.values().get(sample("voxfleet_requests_total", **labels), 0)


async def test_a_request_is_counted_under_its_routes_template() -> None:
    rig = Rig()
    body: list[Message] = [
        {"type": "http.request", "body": b"abc", "more_body": True},
        {"type": "http.request", "body": b"de", "more_body": False},
    ]
    for name in ("one", "two"):
        await rig.ask(f"/files/{name}", "POST", *body)
    assert rig.count("/files/{name}", 200, "POST") == 2
    assert rig.values()[sample("voxfleet_upload_bytes_total")] == 10
    assert rig.values()[sample("voxfleet_requests_in_progress")] == 0


async def test_paths_that_nobody_serves_make_one_series() -> None:
    rig = Rig()
    for path in ("/wp-admin", "/.env"):
        await rig.ask(path)
    assert rig.count("other", 404) == 2


async def test_errors_are_counted_by_their_code() -> None:
    rig = Rig()
    await rig.ask("/failed")
    await rig.ask("/nowhere")
    values = rig.values()
    assert values[sample("voxfleet_request_errors_total", code="overloaded")] == 1
    assert values[sample("voxfleet_request_errors_total", code="other")] == 1


async def test_what_fails_behind_its_head_is_an_error_with_the_status_that_was_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    caplog.set_level(logging.INFO, "voxfleet.access")
    await rig.ask("/begun")
    assert rig.count("/begun", 200) == 1
    assert rig.values()[sample("voxfleet_request_errors_total", code="poison")] == 1
    seconds = "voxfleet_request_duration_seconds_count"
    assert rig.values()[sample(seconds, route="/begun", outcome="client_error")] == 1
    [(_, facts, failed_too)] = rig.spans.ended
    assert (facts["http.response.status_code"], facts["error.type"]) == (200, "poison")
    assert failed_too is False
    [record] = caplog.records
    assert record.getMessage().startswith("GET /begun: 200, then 422 poison in 0.")
    line = record.__dict__["facts"]
    assert (line["status"], line["error_code"]) == (200, "poison")


async def test_an_app_that_breaks_is_a_500_and_raises_on() -> None:
    rig = Rig()
    with pytest.raises(ZeroDivisionError):
        await rig.ask("/broken")
    assert rig.count("/broken", 500) == 1
    assert rig.values()[sample("voxfleet_requests_in_progress")] == 0
    assert rig.spans.ended[0][2] is True


async def test_half_an_answer_is_a_500() -> None:
    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})

    rig = Rig(half)
    await rig.ask("/x")
    assert rig.count("other", 500) == 1
    assert rig.values()[sample("voxfleet_request_errors_total", code="other")] == 1


async def test_a_client_that_leaves_in_the_middle_of_a_stream_is_a_499() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await receive()
        await receive()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    rig = Rig(stream)
    await rig.ask("/x")
    assert rig.count("other", 499) == 1
    assert rig.values()[sample("voxfleet_request_errors_total", code="cancelled")] == 1


async def test_a_client_that_leaves_after_its_answer_has_been_answered() -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await PlainTextResponse("done")(scope, receive, send)
        await receive()

    rig = Rig(answer)
    await rig.ask("/x")
    assert rig.count("other", 200) == 1


@pytest.mark.parametrize(("offered", "retries"), [(b"0", 0), (b"2", 1)])
async def test_retries_that_the_client_tells_of(offered: bytes, retries: int) -> None:
    rig = Rig()
    await rig.ask("/livez", headers=((b"x-stainless-retry-count", offered),))
    assert rig.values()[sample("voxfleet_client_retries_total")] == retries


async def test_a_request_has_one_line_with_its_facts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voxfleet.access")
    await Rig().ask("/files/secret-name")
    [record] = caplog.records
    assert record.getMessage().startswith("GET /files/{name}: 200 in 0.")
    assert record.getMessage().endswith(" s, client 10.0.0.7")
    facts = record.__dict__["facts"]
    assert facts["route"] == "/files/{name}"
    assert facts["status"] == 200
    assert "error_code" not in facts
    assert "secret-name" not in caplog.text


async def test_probes_are_logged_for_who_debugs_and_never_traced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    caplog.set_level(logging.INFO, "voxfleet.access")
    await rig.ask("/livez")
    assert (caplog.records, rig.spans.headers) == ([], [])
    caplog.set_level(logging.DEBUG, "voxfleet.access")
    await rig.ask("/livez")
    assert len(caplog.records) == 1


async def test_stages_of_a_request_are_children_of_its_span() -> None:
    async def work(scope: Scope, receive: Receive, send: Send) -> None:
        async def in_a_task_of_its_own() -> None:
            Stages().spent(Stage.WAIT, 2.0, ended_ago_s=1.0)

        await asyncio.create_task(in_a_task_of_its_own())
        Stages().answered("fake", 12.5)
        await PlainTextResponse("done")(scope, receive, send)

    rig = Rig(work)
    await rig.ask("/x")
    assert rig.spans.children == [("wait", 2.0, 1.0)]
    [(name, facts, failed_too)] = rig.spans.ended
    assert (name, failed_too) == ("GET other", False)
    assert facts == {
        "http.request.method": "GET",
        "http.route": "other",
        "http.response.status_code": 200,
        "voxfleet.request_id": "req-1",
        "voxfleet.model": "fake",
        "voxfleet.audio_seconds": 12.5,
    }


async def test_outside_of_a_request_there_is_none() -> None:
    await Rig().ask("/livez")
    assert current_request.get() is None
