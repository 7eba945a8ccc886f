"""Where a request or a websocket carries its key. Pure; knows no key.

Browsers let a page send no headers with a websocket: there, and only there, a key may also be a
sub-protocol or part of the address.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.types import Scope

_BEARER = b"bearer "
#: how clients of other services send the same thing
_KEY_HEADERS = (b"api-key", b"x-api-key")
#: as OpenAI's own clients in browsers do
_KEY_PROTOCOL = "openai-insecure-api-key."
_KEY_PARAMETERS = frozenset({"api_key", "key", "token"})


def presented_key(scope: Scope) -> str | None:
    """What is sent as a key; `Authorization: Bearer` before all else."""
    authorization = header(scope, b"authorization")
    if authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip().decode("latin-1")
    for name in _KEY_HEADERS:
        if (value := header(scope, name)) is not None:
            return value.strip().decode("latin-1")
    return _key_without_headers(scope) if scope["type"] == "websocket" else None


def header(scope: Scope, name: bytes) -> bytes | None:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((value for known, value in headers if known == name), None)


def _key_without_headers(scope: Scope) -> str | None:
    protocols: list[str] = scope.get("subprotocols", [])
    for name in protocols:
        if name.startswith(_KEY_PROTOCOL):
            return name.removeprefix(_KEY_PROTOCOL)
    query: bytes = scope.get("query_string", b"")
    for name, value in parse_qsl(query.decode("latin-1")):
        if name in _KEY_PARAMETERS:
            return value.strip()
    return None
