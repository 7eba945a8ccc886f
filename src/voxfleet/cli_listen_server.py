"""Where a server is and how it is reached: an address, a key, an open WebSocket, and its refusals.

Every fault leaves as a VoxfleetError that says what to do. Knows no event and no sound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)

from voxfleet.errors import UsageError, VoxfleetError, rebuild

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OPEN_LIMIT_S = 30.0
#: a server that is sent sound faster than it hears it lets us wait, and pings wait behind the sound
_PING_LIMIT_S = 120.0
_CLOSE_LIMIT_S = 5.0
#: of one event: a text of many hours still fits
_MAX_EVENT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Server:
    """`url` as the user wrote it."""

    url: str
    key: str | None = None
    model: str | None = None


def realtime_address(server: Server) -> str:
    """Raises UsageError for what is no address of a server."""
    try:
        parts = urlsplit(server.url)
        scheme = _SCHEMES.get(parts.scheme)
        named = scheme and parts.hostname and (parts.port or True)
    except ValueError:
        named = None
    if not named or parts.query or parts.fragment or not server.url.isprintable():
        raise UsageError(
            f"--url {server.url!r}: not the address of a server; write one such as"
            " http://127.0.0.1:7860"
        )
    path = parts.path.rstrip("/").removesuffix("/v1") + "/v1/realtime"
    query = "intent=transcription"
    if server.model:
        query += f"&model={quote(server.model, safe='')}"
    return urlunsplit((scheme or "", parts.netloc, path, query, ""))


@asynccontextmanager
async def open_connection(server: Server) -> AsyncIterator[ClientConnection]:
    """Raises VoxfleetError where the server is not there or does not let us in."""
    address = realtime_address(server)
    with _explained(server.url):
        connection = await connect(
            address,
            additional_headers=_headers(server.key),
            # sound as base64 hardly shrinks
            compression=None,
            proxy=None if urlsplit(address).hostname in _LOOPBACK else True,
            open_timeout=_OPEN_LIMIT_S,
            ping_timeout=_PING_LIMIT_S,
            close_timeout=_CLOSE_LIMIT_S,
            max_size=_MAX_EVENT_BYTES,
        )
    try:
        with _explained(server.url):
            yield connection
    finally:
        await connection.close()


def _headers(key: str | None) -> dict[str, str]:
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise UsageError("the key holds characters that no key has; copy it again")
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Faults of the network as errors that say what to do."""
    try:
        yield
    except InvalidStatus as fault:
        body = bytes(fault.response.body or b"")
        raise refusal(url, fault.response.status_code, body) from fault
    except ConnectionClosed as fault:
        raise _closed(url, fault) from fault
    except TimeoutError as fault:
        raise VoxfleetError(f"{url}: does not answer; look whether the server is well") from fault
    except InvalidHandshake as fault:
        raise VoxfleetError(f"{url}: is no voxfleet server ({fault}); correct --url") from fault
    except (OSError, WebSocketException) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise VoxfleetError(
            f"{url}: cannot be reached ({reason}); start a server with voxfleet serve, or name"
            " one with --url"
        ) from fault


class _Error(msgspec.Struct, frozen=True):
    message: str
    code: str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error


def refusal(url: str, status: int, body: bytes) -> VoxfleetError:
    """What an HTTP answer in place of a WebSocket means."""
    try:
        error = msgspec.json.decode(body, type=_Refusal).error
    except msgspec.DecodeError:
        return VoxfleetError(
            f"{url}: answers {status} to a realtime session; is it a voxfleet server, and does a"
            " proxy before it let WebSockets through?"
        )
    return rebuild(error.code or "", error.message)


def _closed(url: str, fault: ConnectionClosed) -> VoxfleetError:
    if fault.rcvd is None:
        return VoxfleetError(f"{url}: the connection broke off; look whether the server is well")
    reason = fault.rcvd.reason or "without a reason"
    return VoxfleetError(
        f"{url}: the server ended the session ({fault.rcvd.code}: {reason}); start a new one"
    )
