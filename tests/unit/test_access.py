"""Access: who comes through to the app, and what the others are told."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.unit.access_rig import (
    ASR,
    App,
    FixedKeys,
    ask,
    bearer,
    guarded,
    never,
    scope_of,
)
from voxfleet.gateway.access import client_of

ROUTES = {
    "public": ("GET", "/health"),
    "transcribe": ASR,
    "jobs": ("POST", "/v1/jobs"),
    "admin": ("POST", "/v1/fleet/reload"),
    "lists": ("PUT", "/v1/hotwords/a"),
    "metrics": ("GET", "/metrics"),
    "unknown": ("GET", "/nothing"),
}
ALL = set(ROUTES)


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("desk", {"public", "transcribe", "unknown"}),
        ("jobs", {"public", "jobs"}),
        ("metrics", {"public", "metrics"}),
        ("admin", ALL),
        ("nobody", {"public"}),
    ],
)
async def test_scopes_by_routes(key: str, allowed: set[str]) -> None:
    access = guarded()
    answers = {name: await ask(access, *ROUTES[name], bearer(key)) for name in ROUTES}
    assert {name for name, answer in answers.items() if answer.status == 200} == allowed
    refused = 401 if key == "nobody" else 403
    assert {answers[name].status for name in ALL - allowed} <= {refused}


async def test_without_a_key_only_what_is_public() -> None:
    access = guarded()
    statuses = {name: (await ask(access, *route)).status for name, route in ROUTES.items()}
    assert statuses == dict.fromkeys(ROUTES, 401) | {"public": 200}


async def test_all_keys_revoked_is_not_open() -> None:
    access = guarded(keys=FixedKeys({}, any_ever=True))
    assert (await ask(access, *ASR, bearer("desk"))).status == 401


async def test_where_there_never_was_a_key_all_is_open_whatever_is_sent() -> None:
    access = guarded(keys=FixedKeys({}, any_ever=False))
    for route in ROUTES.values():
        assert (await ask(access, *route)).status == 200
        assert (await ask(access, *route, bearer("not-needed"))).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer desk")],
        [("authorization", "bearer desk")],
        [("authorization", "BEARER   desk ")],
        [("api-key", "desk")],
        [("x-api-key", " desk")],
        [("authorization", "Basic ZGVzazo="), ("api-key", "desk")],
        [("authorization", "Bearer desk"), ("x-api-key", "nobody")],
    ],
)
async def test_every_way_to_send_a_key(headers: list[tuple[str, str]]) -> None:
    assert (await ask(guarded(), *ASR, *headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "desk")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", "Token desk")],
        [("authorization", "Bearer desk,desk")],
        [("authorization", "Bearer \xff\xfe")],
        [("authorization", "Bearer nobody"), ("api-key", "desk")],
        [("api-key", "")],
        [("cookie", "api-key=desk")],
    ],
)
async def test_no_key_that_is_known(headers: list[tuple[str, str]]) -> None:
    answer = await ask(guarded(), *ASR, *headers)
    assert answer.status == 401
    assert answer.headers[b"www-authenticate"] == b"Bearer"
    assert (answer.error["type"], answer.error["code"]) == (
        "authentication_error",
        "invalid_api_key",
    )


async def test_refusals_name_the_scope_and_never_the_key() -> None:
    denied = await ask(guarded(), "GET", "/v1/system", bearer("desk"))
    assert (denied.error["type"], denied.error["code"]) == ("permission_error", "missing_scope")
    assert "key d1 has not the scope admin" in denied.error["message"]
    unknown = await ask(guarded(), *ASR, bearer("s3cret"))
    assert "s3cret" not in str(unknown.messages)


async def test_clients_are_keys_or_addresses() -> None:
    app = App()
    access = guarded(app)
    await ask(access, *ASR, bearer("desk"))
    await ask(access, "GET", "/health", bearer("desk"))
    await ask(access, "GET", "/health", client=None)
    assert app.clients == ["key:d1", "10.0.0.7", ""]
    assert client_of(scope_of("GET", "/")) == "10.0.0.7"


async def test_who_was_refused_is_known_too() -> None:
    scope = scope_of("GET", "/metrics", [bearer("desk")])

    async def send(message: Message) -> None:
        pass

    await guarded()(scope, never, send)
    assert client_of(scope) == "key:d1"


async def test_the_root_path_changes_nothing() -> None:
    access = guarded()
    under = {"root_path": "/speech"}
    assert (await ask(access, "GET", "/speech/health", **under)).status == 200
    assert (await ask(access, "GET", "/speech", **under)).status == 401
    assert (await ask(access, "GET", "/speechless", **under)).status == 401
    denied = await ask(access, "GET", "/speech/v1/system", bearer("desk"), **under)
    assert denied.status == 403


async def test_the_lifespan_goes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def send(message: Message) -> None:
        raise AssertionError

    await guarded(app)({"type": "lifespan"}, never, send)
    assert seen == ["lifespan"]
