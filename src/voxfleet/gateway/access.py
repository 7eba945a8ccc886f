"""Who may do what: asks for a key, holds it to its scopes and limits, keeps web pages from orders.

ASGI middleware around the router. Answers before a body is read. Knows no route, see
`route_scopes`, and not where keys are kept.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Collection
from typing import Protocol
from urllib.parse import urlsplit

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxfleet.errors import AuthenticationError, PermissionDeniedError, RequestError
from voxfleet.gateway.client_secrets import ClientSecrets
from voxfleet.gateway.http_errors import error_response
from voxfleet.gateway.key_limits import KeyLimits
from voxfleet.gateway.presented_keys import header, presented_key
from voxfleet.gateway.route_scopes import WEBSOCKET, Need, need_of
from voxfleet.gateway.websocket_refusal import refuse_websocket
from voxfleet.store.access_key import Key

_GUARDED = frozenset({"http", "websocket"})
#: what a client secret opens, and nothing else
_REALTIME = "/v1/realtime"
_CHALLENGE = {"www-authenticate": "Bearer"}


class Keys(Protocol):
    """What `store.key_ring` knows."""

    @property
    def any_ever(self) -> bool: ...
    def find(self, presented: str) -> Key | None: ...


class Access:
    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        trusted_origins: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        secrets: ClientSecrets | None = None,
    ) -> None:
        """`trusted_origins`: web pages that may give orders while there is no key; `*` is none."""
        self._app = app
        self._keys = keys
        self._secrets = secrets or ClientSecrets()
        self._limits = KeyLimits()
        self._trusted_origins = frozenset(trusted_origins) - {"*"}
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _GUARDED:
            await self._app(scope, receive, send)
            return
        # a websocket has no method
        need = need_of(scope.get("method", WEBSOCKET), get_route_path(scope))
        state = scope.setdefault("state", {})
        state["client"] = _address(scope)
        try:
            key = self._key_of(need, scope)
            if key is not None:
                # before it is held to anything: a refusal too has somebody it is for
                state["client"] = f"key:{key.id}"
                state["key_id"] = key.id
            counted = self._counted(need, key)
        except RequestError as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        if counted is None:
            await self._app(scope, receive, send)
        else:
            await self._run_counted(counted, scope, receive, send)

    def _key_of(self, need: Need, scope: Scope) -> Key | None:
        """The key of a request; None where none is asked for."""
        if need.scope is None:
            return None
        presented = presented_key(scope)
        realtime = scope["type"] == "websocket" and get_route_path(scope).startswith(_REALTIME)
        if realtime and (secret := self._secrets.find(presented)):
            # whoever made it may hand it to any page
            key = self._secrets.key_for(secret)
            if key is None and self._keys.any_ever:
                raise AuthenticationError(
                    "the client secret was made before this server had keys; make another with one"
                )
            return key
        if self._keys.any_ever:
            return self._known_key(presented)
        # what clients send as a key means nothing: OpenAI's always send one
        if need.order:
            refuse_strange_page(header(scope, b"origin"), self._trusted_origins)
        return None

    def _counted(self, need: Need, key: Key | None) -> Key | None:
        """Holds the key to its scopes and limits; gives it back where the request counts."""
        if key is None or need.scope is None:
            return None
        if not key.allows(need.scope):
            raise PermissionDeniedError(
                f"key {key.id} has not the scope {need.scope} that this needs; ask the operator"
                f" for a key with it (voxfleet keys add NAME --scope {need.scope})"
            )
        if not (need.work and key.limited):
            return None
        self._limits.enter(key, self._clock())
        return key

    def _known_key(self, presented: str | None) -> Key:
        if not presented:
            raise AuthenticationError(
                "a key is needed here and none was sent; send Authorization: Bearer KEY"
            )
        key = self._keys.find(presented)
        if key is None:
            raise AuthenticationError(
                "the key is unknown or was revoked; ask the operator for another one"
            )
        return key

    async def _run_counted(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        """Counted until its answer has ended: who asks again at once must find his place free."""
        running = True

        def end() -> None:
            nonlocal running
            if running:
                running = False
                self._limits.leave(key)

        async def send_watched(message: Message) -> None:
            if _is_end(message):
                end()
            await send(message)

        async def receive_watched() -> Message:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                end()
            return message

        try:
            await self._app(scope, receive_watched, send_watched)
        finally:
            end()


def _is_end(message: Message) -> bool:
    if message["type"] == "websocket.close":
        return True
    is_body = message["type"] in ("http.response.body", "websocket.http.response.body")
    return is_body and not message.get("more_body", False)


def client_of(scope: Scope) -> str:
    """Who a request is from, for fair turns and for the log: a key's id, else an address."""
    client = scope.get("state", {}).get("client")
    return client if isinstance(client, str) else _address(scope)


def refuse_strange_page(origin: bytes | None, trusted: Collection[str]) -> None:
    """Without keys, a browser's visitor must not give orders for a page from elsewhere.

    Such a page may have a name that its owner points at this very machine (DNS rebinding): then
    the browser asks nobody before it sends JSON. A name of the machine itself, or an address,
    cannot be pointed elsewhere.
    """
    if origin is None:
        return
    named = origin.decode("latin-1")
    if named in trusted or _is_of_no_name(named):
        return
    raise PermissionDeniedError(
        "the web page that asks for this is not known here; name its address in"
        " server.cors_origins, or make keys (voxfleet keys add) and send one"
    )


def _is_of_no_name(origin: str) -> bool:
    try:
        host = urlsplit(origin).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _address(scope: Scope) -> str:
    peer = scope.get("client")
    return str(peer[0]) if peer else ""


async def _refuse(refusal: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    challenge = _CHALLENGE if isinstance(refusal, AuthenticationError) else None
    if scope["type"] == "websocket":
        await receive()
        await refuse_websocket(refusal, scope, receive, send, challenge)
        return
    await error_response(refusal, challenge)(scope, receive, send)
