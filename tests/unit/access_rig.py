"""An app behind `Access`, asked without a server; with keys that are as short as their names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxfleet.gateway.access import Access, client_of
from voxfleet.store.access_key import Key
from voxfleet.store.access_key import Scope as KeyScope

DESK = Key("d1", "desk", frozenset({KeyScope.TRANSCRIBE}))
ADMIN = Key("a1", "boss", frozenset({KeyScope.ADMIN}))
JOBS = Key("j1", "batch", frozenset({KeyScope.JOBS}))
METRICS = Key("m1", "prometheus", frozenset({KeyScope.METRICS}))
NARROW = Key("n1", "narrow", frozenset({KeyScope.TRANSCRIBE}), 2, 1)
KEYS = {"desk": DESK, "admin": ADMIN, "jobs": JOBS, "metrics": METRICS, "narrow": NARROW}

ASR = ("POST", "/asr")


@dataclass
class FixedKeys:
    known: dict[str, Key] = field(default_factory=dict)
    any_ever: bool = True

    def find(self, presented: str) -> Key | None:
        return self.known.get(presented)


@dataclass
class Answer:
    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def error(self) -> dict[str, str]:
        error = json.loads(self.messages[1]["body"])["error"]
        assert isinstance(error, dict)
        return error


class App:
    """Says 200 in two pieces; remembers whom it answered."""

    def __init__(self) -> None:
        self.clients: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.clients.append(client_of(scope))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})


async def never() -> Message:
    raise AssertionError("a body was read before its sender was known")


def scope_of(
    method: str, path: str, headers: Sequence[tuple[str, str]] = (), **more: object
) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("10.0.0.7", 1234),
        **more,
    }


async def ask(
    access: Access, method: str, path: str, *headers: tuple[str, str], **more: object
) -> Answer:
    answer = Answer()

    async def send(message: Message) -> None:
        answer.messages.append(message)

    await access(scope_of(method, path, headers, **more), never, send)
    return answer


def bearer(key: str) -> tuple[str, str]:
    return "authorization", f"Bearer {key}"


def guarded(app: ASGIApp | None = None, keys: FixedKeys | None = None) -> Access:
    return Access(app or App(), keys or FixedKeys(KEYS), clock=lambda: 0.0)
