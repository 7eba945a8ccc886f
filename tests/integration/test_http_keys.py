"""Keys over HTTP: every route there is, refusals as clients see them, limits on real sockets."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from tests.integration.keyed_app import bearer, key_store, keyed_app, made_key
from tests.integration.standin_service import (
    FILE,
    TRANSCRIBE,
    StandInService,
    fault_of,
    served,
)
from tests.unit.metric_pages import sample, scraped
from voxfleet.store.access_key import Scope
from voxfleet.store.key_ring import KeyRing
from voxfleet.store.key_store import KeyStore

PUBLIC = {
    "GET /",
    "GET /health",
    "HEAD /health",
    "GET /livez",
    "HEAD /livez",
    "GET /readyz",
    "HEAD /readyz",
    "GET /openapi.json",
    "HEAD /openapi.json",
    "GET /docs",
    "GET /docs/oauth2-redirect",
    "GET /docs/files",
    "GET /redoc",
}
#: opened as websockets; see test_websocket_access
LIVE = {"/v1/realtime", "/funasr"}
#: every other route there is or is to be
NEEDS = {
    "POST /v1/audio/transcriptions": Scope.TRANSCRIBE,
    "POST /v1/audio/translations": Scope.TRANSCRIBE,
    "POST /asr": Scope.TRANSCRIBE,
    "POST /recognition": Scope.TRANSCRIBE,
    "GET /v1/models": Scope.TRANSCRIBE,
    "GET /v1/models/{model_id:path}": Scope.TRANSCRIBE,
    "GET /v1/requests/{request_id}": Scope.TRANSCRIBE,
    "GET /v1/hotwords": Scope.TRANSCRIBE,
    "GET /v1/hotwords/{name}": Scope.TRANSCRIBE,
    "PUT /v1/hotwords/{name}": Scope.ADMIN,
    "DELETE /v1/hotwords/{name}": Scope.ADMIN,
    "GET /v1/instances": Scope.ADMIN,
    "POST /v1/instances/{instance_id}/restart": Scope.ADMIN,
    "POST /v1/instances/{instance_id}/drain": Scope.ADMIN,
    "POST /v1/fleet/scale": Scope.ADMIN,
    "POST /v1/fleet/reload": Scope.ADMIN,
    "GET /v1/system": Scope.ADMIN,
    "POST /v1/realtime/client_secrets": Scope.TRANSCRIBE,
    "POST /v1/realtime/transcription_sessions": Scope.TRANSCRIBE,
    "GET /metrics": Scope.METRICS,
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    with key_store(tmp_path) as store:
        yield store


def all_routes(tmp_path: Path, store: KeyStore) -> set[str]:
    routes = keyed_app(tmp_path, KeyRing(store)).routes
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(routes)
        for method in (route.methods or {"GET"})
        if route.path not in LIVE
    }


def asked(
    tmp_path: Path, store: KeyStore, root_path: str = "", cors_origins: tuple[str, ...] = ()
) -> httpx.AsyncClient:
    app = keyed_app(tmp_path, KeyRing(store), root_path=root_path, cors_origins=cors_origins)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def statuses(client: httpx.AsyncClient, routes: set[str], key: str) -> dict[str, int]:
    answers = {}
    for route in sorted(routes):
        method, path = re.sub(r"\{.*?\}", "x", route).split(" ")
        answer = await client.request(method, path, headers=bearer(key) if key else {})
        answers[route] = answer.status_code
    return answers


def test_the_walk_sees_the_routes_and_each_is_thought_of(tmp_path: Path, store: KeyStore) -> None:
    routes = all_routes(tmp_path, store)
    assert {"POST /asr", "GET /v1/models", "POST /v1/fleet/scale", "GET /docs"} <= routes
    assert routes - PUBLIC <= set(NEEDS), "say here which scope a new route needs"


async def test_no_route_that_is_not_public_is_open(tmp_path: Path, store: KeyStore) -> None:
    made_key(store, Scope.ADMIN)
    routes = all_routes(tmp_path, store)
    async with asked(tmp_path, store) as client:
        for key in ("", "vf-" + "x" * 43):
            seen = await statuses(client, routes, key)
            assert {route for route, status in seen.items() if status != 401} == routes & PUBLIC


@pytest.mark.parametrize("scope", list(Scope))
async def test_every_route_by_every_scope(tmp_path: Path, store: KeyStore, scope: Scope) -> None:
    key = made_key(store, scope)
    routes = all_routes(tmp_path, store)
    open_to_it = {
        route for route in routes & set(NEEDS) if scope in (NEEDS[route], Scope.ADMIN)
    } | (routes & PUBLIC)
    async with asked(tmp_path, store) as client:
        seen = await statuses(client, routes, key)
    assert 401 not in seen.values()
    assert {route for route, status in seen.items() if status != 403} == open_to_it


async def test_the_files_of_the_docs_are_public(tmp_path: Path, store: KeyStore) -> None:
    made_key(store, Scope.ADMIN)
    app = keyed_app(tmp_path, KeyRing(store))
    mounts = [route.path for route in app.routes if isinstance(route, Mount)]
    async with asked(tmp_path, store) as client:
        for mount in mounts:
            assert (await client.get(f"{mount}/none.js")).status_code == 404
        page = (await client.get("/docs")).text
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
            assert (await client.get(path)).status_code == 200


async def test_with_a_root_path_nothing_is_open_either(tmp_path: Path, store: KeyStore) -> None:
    key = made_key(store, Scope.TRANSCRIBE)
    async with asked(tmp_path, store, root_path="/speech") as client:
        for path in ("/v1/system", "/speech/v1/system", "/speech/speech/v1/system"):
            assert (await client.get(path)).status_code == 401
        assert (await client.get("/speech/v1/models", headers=bearer(key))).status_code == 200
        assert (await client.get("/speech/v1/system", headers=bearer(key))).status_code == 403
        assert (await client.get("/speech/health")).status_code == 200


async def test_a_refusal_is_a_well_formed_error(tmp_path: Path, store: KeyStore) -> None:
    key = made_key(store, Scope.TRANSCRIBE)
    async with asked(tmp_path, store) as client:
        unknown = await client.post(TRANSCRIBE, files=FILE, headers=bearer(key.upper()))
        assert fault_of(unknown) == (401, "invalid_api_key", None)
        assert unknown.headers["www-authenticate"] == "Bearer"
        denied = await client.get("/v1/instances", headers=bearer(key))
        assert fault_of(denied) == (403, "missing_scope", None)
        assert key not in unknown.text + denied.text


async def test_a_page_may_ask_first_and_read_why_it_was_refused(
    tmp_path: Path, store: KeyStore
) -> None:
    made_key(store, Scope.TRANSCRIBE)
    page = {"origin": "https://desk.example.com"}
    asks = {"access-control-request-method": "POST"}
    async with asked(tmp_path, store, cors_origins=(page["origin"],)) as client:
        assert (await client.options(TRANSCRIBE, headers=page | asks)).status_code == 200
        refused = await client.post(TRANSCRIBE, files=FILE, headers=page)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == page["origin"]


def test_the_body_is_not_waited_for(tmp_path: Path, store: KeyStore) -> None:
    made_key(store, Scope.ADMIN)
    app = keyed_app(tmp_path, KeyRing(store))
    head = f"POST {TRANSCRIBE} HTTP/1.1\r\nhost: x\r\ncontent-length: 900000000\r\n\r\n"
    with served(app) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(head.encode())
            assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_a_place_is_free_again_when_its_client_leaves(tmp_path: Path, store: KeyStore) -> None:
    headers = bearer(made_key(store, Scope.TRANSCRIBE, concurrent=1))
    service = StandInService()
    service.hold = True
    with (
        served(keyed_app(tmp_path, KeyRing(store), service)) as address,
        httpx.Client(base_url=address, headers=headers, timeout=10) as client,
    ):
        leaving = threading.Thread(target=leave_at_once, args=(address, headers, service))
        leaving.start()
        wait_for_place(service)
        crowded = client.post(TRANSCRIBE, files=FILE)
        assert fault_of(crowded) == (429, "rate_limit_exceeded", None)
        assert crowded.headers["retry-after"] == "1"
        assert client.get("/v1/models").status_code == 200
        service.hold = False
        leaving.join(timeout=20)
        assert service.cancelled.wait(10)
        answers = [client.post(TRANSCRIBE, files=FILE).status_code for _ in range(20)]
        # one after the other, each at once behind the answer before it
        assert answers == [200] * 20


def leave_at_once(address: str, headers: dict[str, str], service: StandInService) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(address + TRANSCRIBE, files=FILE, headers=headers, timeout=2)


def wait_for_place(service: StandInService) -> None:
    waited = threading.Event()
    for _ in range(500):
        if service.asked:
            return
        waited.wait(0.01)
    raise AssertionError("the first request never came")


def test_the_rate_of_a_key(tmp_path: Path, store: KeyStore) -> None:
    headers = bearer(made_key(store, Scope.TRANSCRIBE, requests_per_minute=3))
    with (
        served(keyed_app(tmp_path, KeyRing(store))) as address,
        httpx.Client(base_url=address, headers=headers, timeout=10) as client,
    ):
        answers = [client.post(TRANSCRIBE, files=FILE) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 15 <= int(answers[3].headers["retry-after"]) <= 20


async def test_a_refused_request_counts_for_the_route_it_was_for(tmp_path: Path) -> None:
    with key_store(tmp_path) as store:
        key = made_key(store, Scope.ADMIN)
        transport = httpx.ASGITransport(keyed_app(tmp_path, KeyRing(store)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get("/v1/models/one")
            await client.post("/asr")
            await client.get("/nothing")
            page = scraped((await client.get("/metrics", headers=bearer(key))).text)
    for route, method in (
        ("/v1/models/{model_id:path}", "GET"),
        ("/asr", "POST"),
        ("other", "GET"),
    ):
        requests = sample("voxfleet_requests_total", route=route, method=method, status="401")
        assert page[requests] == 1


async def test_a_line_break_behind_the_path_is_no_way_around_a_limit(tmp_path: Path) -> None:
    """The router's pattern ends before it, and takes the path for the route's."""
    with key_store(tmp_path) as store:
        key = made_key(store, Scope.TRANSCRIBE, requests_per_minute=1)
        transport = httpx.ASGITransport(keyed_app(tmp_path, KeyRing(store)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answers = [
                await client.post(path, files={"audio": FILE["file"]}, headers=bearer(key))
                for path in ("/asr", "/asr%0a", "/recognition%0A")
            ]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
