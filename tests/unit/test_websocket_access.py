"""Websockets behind `Access`: where their keys are looked for, what they count for, whose page."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.unit.access_rig import DESK, KEYS, FixedKeys, bearer, scope_of
from voxfleet.errors import AuthenticationError
from voxfleet.gateway.access import Access, client_of
from voxfleet.gateway.client_secrets import ClientSecrets
from voxfleet.gateway.presented_keys import presented_key
from voxfleet.gateway.realtime_settings import RealtimeSettings

UNKEYED = FixedKeys({}, any_ever=False)


@dataclass
class OpenApp:
    """Accepts, and stays until the client leaves."""

    clients: list[str] = field(default_factory=list)
    running: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.clients.append(client_of(scope))
        self.running += 1
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await asyncio.Event().wait()


@dataclass
class Opened:
    sent: list[Message] = field(default_factory=list)
    incoming: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0].get("status", 101))

    @property
    def code(self) -> str:
        return str(json.loads(self.sent[1]["body"])["error"]["code"])


def websocket_scope(*headers: tuple[str, str], path: str = "/v1/realtime", **more: object) -> Scope:
    extensions: dict[str, object] = {"websocket.http.response": {}}
    scope = scope_of("", path, headers, **{"type": "websocket", "extensions": extensions, **more})
    del scope["method"]
    return scope


async def opened(access: ASGIApp, scope: Scope) -> tuple[Opened, asyncio.Task[None]]:
    made = Opened()
    made.incoming.put_nowait({"type": "websocket.connect"})

    async def run() -> None:
        await access(scope, made.incoming.get, made.send)

    task = asyncio.create_task(run())
    while not made.sent and not task.done():
        await asyncio.sleep(0)
    return made, task


async def status_of(access: ASGIApp, scope: Scope) -> int:
    made, task = await opened(access, scope)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return made.status


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (websocket_scope(bearer("a"), ("api-key", "b")), "a"),
        (websocket_scope(("x-api-key", "b"), subprotocols=["openai-insecure-api-key.c"]), "b"),
        (websocket_scope(subprotocols=["realtime", "openai-insecure-api-key.c"]), "c"),
        (websocket_scope(query_string=b"intent=transcription&api_key=d%2F1"), "d/1"),
        (websocket_scope(query_string=b"token=e"), "e"),
        (websocket_scope(query_string=b"key=f"), "f"),
        (websocket_scope(), None),
        (scope_of("GET", "/v1/models", query_string=b"key=f"), None),
        (scope_of("GET", "/v1/models", subprotocols=["openai-insecure-api-key.c"]), None),
    ],
)
def test_where_a_key_is_looked_for(scope: Scope, key: str | None) -> None:
    assert presented_key(scope) == key


async def test_a_refusal_is_an_answer_where_the_server_can_send_one() -> None:
    access = Access(OpenApp(), FixedKeys(KEYS))
    refused, _ = await opened(access, websocket_scope())
    assert (refused.status, refused.code) == (401, "invalid_api_key")
    assert dict(refused.sent[0]["headers"])[b"www-authenticate"] == b"Bearer"
    refused, _ = await opened(access, websocket_scope(bearer("jobs")))
    assert (refused.status, refused.code) == (403, "missing_scope")


async def test_else_it_is_a_close_with_its_reason() -> None:
    access = Access(OpenApp(), FixedKeys(KEYS))
    made, task = await opened(access, websocket_scope(extensions={}))
    await task
    assert [message["type"] for message in made.sent] == ["websocket.accept", "websocket.close"]
    assert made.sent[1]["code"] == 1008
    assert made.sent[1]["reason"].startswith("a key is needed here")


@pytest.mark.parametrize("path", ["/v1/realtime", "/funasr"])
async def test_it_counts_for_its_key_until_the_client_has_left(path: str) -> None:
    access = Access(OpenApp(), FixedKeys(KEYS), clock=lambda: 0.0)
    scope = websocket_scope(bearer("narrow"), path=path)
    first, task = await opened(access, scope)
    assert first.status == 101
    assert await status_of(access, dict(scope)) == 429
    first.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    for _ in range(5):
        await asyncio.sleep(0)
    # its session is still being put away
    assert not task.done()
    assert await status_of(access, dict(scope)) == 101
    # the second of two a minute
    assert await status_of(access, dict(scope)) == 429
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("http://localhost:3000", 101),
        ("https://desk.example.com", 101),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
async def test_without_keys_no_page_from_elsewhere_opens_one(
    origin: str | None, status: int
) -> None:
    access = Access(OpenApp(), UNKEYED, ("https://desk.example.com",))
    headers = [] if origin is None else [("origin", origin)]
    assert await status_of(access, websocket_scope(*headers)) == status


def made_secret(secrets: ClientSecrets, key_id: str | None = DESK.id) -> tuple[str, str]:
    value, _ = secrets.make(RealtimeSettings(), "desk", key_id, 10, 60)
    return bearer(value)


async def test_a_secret_opens_one_for_its_key_and_for_any_page() -> None:
    app = OpenApp()
    secrets = ClientSecrets({DESK.id: DESK}.get)
    access = Access(app, FixedKeys(KEYS), secrets=secrets)
    secret = made_secret(secrets)
    assert await status_of(access, websocket_scope(secret, ("origin", "http://any.example"))) == 101
    assert app.clients == [f"key:{DESK.id}"]
    unkeyed = Access(app, UNKEYED, secrets=secrets)
    page = ("origin", "http://any.example")
    assert await status_of(unkeyed, websocket_scope(made_secret(secrets, None), page)) == 101
    # and nothing else
    answered = Opened()
    await access(scope_of("GET", "/v1/models", [secret]), answered.incoming.get, answered.send)
    assert answered.status == 401
    # it is for realtime sessions alone, whose settings it holds
    for path in ("/funasr", "/"):
        assert await status_of(access, websocket_scope(secret, path=path)) == 401
    made_before = made_secret(secrets, None)
    assert await status_of(access, websocket_scope(made_before)) == 401


def test_a_secret_ends_with_its_time_and_with_its_key() -> None:
    now_s, keys = [100.0], {DESK.id: DESK}
    secrets = ClientSecrets(keys.get, clock=lambda: now_s[0])
    settings = RealtimeSettings(language="en")
    value, expires_at_s = secrets.make(settings, "desk", DESK.id, 10, 60)
    assert (len(value), value[:3], expires_at_s) == (46, "ek_", 160.0)
    found = secrets.find(value)
    assert found is not None
    assert found.settings == settings
    assert secrets.find("vf-anything") is secrets.find(None) is None
    keys[DESK.id] = replace(DESK, scopes=frozenset())
    with pytest.raises(AuthenticationError):
        secrets.find(value)
    keys[DESK.id] = DESK
    now_s[0] = 160.0
    with pytest.raises(AuthenticationError):
        secrets.find(value)
    with pytest.raises(AuthenticationError):
        secrets.find("ek_unknown")
