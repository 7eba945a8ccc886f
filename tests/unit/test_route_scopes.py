"""Which scope each request needs, as a table; and that what nobody thought of needs a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.gateway.route_scopes import WEBSOCKET, Need, need_of
from voxfleet.store.access_key import Scope

PUBLIC = Need(None)
ADMIN = Need(Scope.ADMIN)
ORDER = Need(Scope.ADMIN, order=True)
JOBS = Need(Scope.JOBS)
TRANSCRIBE = Need(Scope.TRANSCRIBE)
WORK = Need(Scope.TRANSCRIBE, work=True)
LIVE = Need(Scope.TRANSCRIBE, order=True, work=True)


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("GET", "/", PUBLIC),
        ("GET", "/health", PUBLIC),
        ("HEAD", "/livez", PUBLIC),
        ("GET", "/readyz", PUBLIC),
        ("GET", "/openapi.json", PUBLIC),
        ("GET", "/docs", PUBLIC),
        ("GET", "/docs/files/redoc.standalone.js", PUBLIC),
        ("GET", "/redoc", PUBLIC),
        ("GET", "/ui", PUBLIC),
        ("GET", "/ui/app.js", PUBLIC),
        ("GET", "/v1/instances", ADMIN),
        ("POST", "/v1/instances/main-0/restart", ORDER),
        ("POST", "/v1/fleet/scale", ORDER),
        ("GET", "/v1/system", ADMIN),
        ("GET", "/v1/hotwords", TRANSCRIBE),
        ("GET", "/v1/hotwords/products", TRANSCRIBE),
        ("PUT", "/v1/hotwords/products", ORDER),
        ("DELETE", "/v1/hotwords/products", ORDER),
        ("GET", "/metrics", Need(Scope.METRICS)),
        ("GET", "/v1/jobs", JOBS),
        ("DELETE", "/v1/jobs/1", JOBS),
        ("POST", "/v1/jobs", Need(Scope.JOBS, work=True)),
        ("POST", "/v1/audio/transcriptions", WORK),
        ("POST", "/v1/audio/translations", WORK),
        ("POST", "/asr", WORK),
        ("POST", "/recognition", WORK),
        # the router's pattern takes them for the route
        ("POST", "/asr\n", WORK),
        ("POST", "/recognition\n", WORK),
        ("GET", "/v1/audio/transcriptions", TRANSCRIBE),
        ("GET", "/v1/models", TRANSCRIBE),
        ("GET", "/v1/requests/1", TRANSCRIBE),
        ("GET", "/v1/realtime", TRANSCRIBE),
        ("GET", "/funasr", TRANSCRIBE),
        ("POST", "/v1/realtime/client_secrets", TRANSCRIBE),
        (WEBSOCKET, "/v1/realtime", LIVE),
        (WEBSOCKET, "/v1/realtime\n", LIVE),
        (WEBSOCKET, "/funasr", LIVE),
        (WEBSOCKET, "/", LIVE),
        (WEBSOCKET, "/v1/hotwords", Need(Scope.TRANSCRIBE, order=True)),
        (WEBSOCKET, "/v1/instances", ORDER),
    ],
)
def test_the_table(method: str, path: str, need: Need) -> None:
    assert need_of(method, path) == need


@pytest.mark.parametrize(
    "path",
    ["", "//", "/Health", "/healthy", "/health.json", "/uix", "//docs", "/v1/health", "/nothing"],
)
def test_what_only_looks_public_is_not(path: str) -> None:
    assert need_of("GET", path).scope is Scope.TRANSCRIBE


@pytest.mark.parametrize("method", ["POST", "PATCH", "put", "FOUND", ""])
def test_a_strange_method_is_no_way_around(method: str) -> None:
    assert need_of(method, "/v1/hotwords/a") == ORDER
    assert need_of(method, "/v1/instances/a") == ORDER


@given(st.text(), st.text())
def test_nothing_else_is_public(method: str, path: str) -> None:
    open_to_all = path == "/" or path.lstrip("/").split("/")[0] in {
        "health",
        "livez",
        "readyz",
        "openapi.json",
        "docs",
        "redoc",
        "ui",
    }
    assert open_to_all or need_of(method, path).scope is not None
