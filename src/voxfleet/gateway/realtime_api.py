"""`/v1/realtime`: OpenAI's realtime transcription, and the secrets that browsers open it with.

Knows who may open a session and how one ends for the log; `realtime_connection` talks.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.websockets import WebSocket

from voxfleet.core import EngineInfo, VadMode
from voxfleet.errors import ModelNotFoundError, ParameterError, VoxfleetError
from voxfleet.gateway.access import client_of
from voxfleet.gateway.api_schemas import SpeechService
from voxfleet.gateway.client_secrets import ClientSecrets
from voxfleet.gateway.file_transcriber import find_model
from voxfleet.gateway.form_fields import FormFields
from voxfleet.gateway.http_errors import error_type
from voxfleet.gateway.json_orders import refuse_web_pages, small_body
from voxfleet.gateway.presented_keys import header, presented_key
from voxfleet.gateway.realtime_connection import RealtimeConnection, Setting
from voxfleet.gateway.realtime_dialects import Teller, flat_session_object, session_object
from voxfleet.gateway.realtime_options import session_options
from voxfleet.gateway.realtime_orders import (
    MAX_ORDER_BYTES,
    SecretOrder,
    read_flat_order,
    read_order,
)
from voxfleet.gateway.realtime_schemas import flat_order_body, order_body
from voxfleet.gateway.realtime_settings import RealtimeSettings, changed, read_query
from voxfleet.gateway.websocket_refusal import close_reason, refuse_websocket
from voxfleet.transcribe.hotword_text import HotwordLists

ROUTE = "/v1/realtime"
_POLICY = 1008
_PROTOCOL, _BETA_PROTOCOL = "realtime", "openai-beta.realtime-v1"


@dataclass(frozen=True, slots=True)
class RealtimeLimits:
    """What clients are told of the settings `realtime.*` and `audio.vad`."""

    max_session_s: float = 14_400
    secret_lifetime_s: int = 600
    default_vad: VadMode = VadMode.AUTO


class RealtimeApi:
    def __init__(
        self,
        service: SpeechService,
        lists: HotwordLists,
        limits: RealtimeLimits,
        client_secrets: ClientSecrets,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._lists = lists
        self._limits = limits
        self._secrets = client_secrets
        self._clock = clock
        self._large_turns = asyncio.Lock()

    def router(self) -> APIRouter:
        router = APIRouter(tags=["realtime"])
        router.add_api_websocket_route(ROUTE, self.talk)
        router.add_api_route(
            f"{ROUTE}/client_secrets",
            self.make_secret,
            methods=["POST"],
            openapi_extra=order_body(),
        )
        router.add_api_route(
            f"{ROUTE}/transcription_sessions",
            self.make_flat_secret,
            methods=["POST"],
            openapi_extra=flat_order_body(),
        )
        return router

    # -- secrets --------------------------------------------------------------------------------

    async def make_secret(self, request: Request) -> JSONResponse:
        """A short-lived key for one page's realtime sessions, with their first settings."""
        order = await self._order(request, read_order)
        settings, info = self._understood(order, request)
        value, expires_at = self._made(request, order, settings)
        told = session_object(_session_id(), settings, info, expires_at=None)
        return JSONResponse({"value": value, "expires_at": expires_at, "session": told})

    async def make_flat_secret(self, request: Request) -> JSONResponse:
        """The same in the words of OpenAI's beta: the session itself, with its `client_secret`."""
        order = await self._order(request, read_flat_order)
        settings, info = self._understood(order, request)
        value, expires_at = self._made(request, order, settings)
        return JSONResponse(
            flat_session_object(_session_id(), settings, info, expires_at, secret=value)
        )

    async def _order(self, request: Request, read: Callable[[bytes], SecretOrder]) -> SecretOrder:
        await refuse_web_pages(request)
        return read(await small_body(request, MAX_ORDER_BYTES, "send fewer keywords"))

    def _understood(
        self, order: SecretOrder, request: Request
    ) -> tuple[RealtimeSettings, EngineInfo]:
        """Raises what the session itself would be refused with."""
        default_vad = self._limits.default_vad
        settings = changed(RealtimeSettings(vad=default_vad), order.session, default_vad)
        info = find_model(self._service, settings.model)
        session_options(settings, info, self._lists, client_of(request.scope))
        return settings, info

    def _made(
        self, request: Request, order: SecretOrder, settings: RealtimeSettings
    ) -> tuple[str, int]:
        key_id = request.scope.get("state", {}).get("key_id")
        value, expires_at_s = self._secrets.make(
            settings,
            client_of(request.scope),
            key_id if isinstance(key_id, str) else None,
            order.size_bytes,
            order.lifetime_s or self._limits.secret_lifetime_s,
        )
        return value, int(expires_at_s)

    # -- sessions -------------------------------------------------------------------------------

    async def talk(self, socket: WebSocket) -> None:
        """One client from its request to open a session to the end."""
        session_id = _session_id()
        # for the line in the log
        socket.scope.setdefault("state", {})["session_id"] = session_id
        await socket.receive()
        try:
            await self._opened(socket, session_id)
        except VoxfleetError as refusal:
            await refuse_websocket(refusal, socket.scope, socket.receive, socket.send)

    async def _opened(self, socket: WebSocket, session_id: str) -> None:
        """Raises VoxfleetError for what is refused unopened."""
        teller = Teller(session_id, beta=_is_beta(socket))
        try:
            setting = self._setting(socket)
            options = session_options(setting.settings, setting.info, self._lists, setting.client)
        except (ParameterError, ModelNotFoundError) as fault:
            # a browser shows its page nothing of an answer that is no websocket
            await self._tell_fault(socket, teller, fault)
            return
        teller.log_probs = setting.settings.log_probs
        async with self._service.open_session(options) as session:
            await socket.accept(_protocol(socket))
            await RealtimeConnection(socket, session, setting, teller).run()

    def _setting(self, socket: WebSocket) -> Setting:
        query: bytes = socket.scope.get("query_string", b"")
        fields = FormFields(parse_qsl(query.decode("latin-1")))
        secret = self._secrets.find(presented_key(socket.scope))
        first = secret.settings if secret else RealtimeSettings(vad=self._limits.default_vad)
        settings = read_query(fields, first)
        return Setting(
            settings,
            find_model(self._service, settings.model),
            self._lists,
            client_of(socket.scope),
            self._limits.default_vad,
            int(self._clock() + self._limits.max_session_s),
            lambda name: find_model(self._service, name),
            self._large_turns,
        )

    async def _tell_fault(self, socket: WebSocket, teller: Teller, fault: VoxfleetError) -> None:
        await socket.accept(_protocol(socket))
        kind = error_type(fault.status)
        await socket.send_json(teller.error(fault.code, fault.message, fault.param, kind, None))
        await socket.close(_POLICY, close_reason(fault.message))


def _session_id() -> str:
    return f"sess_{secrets.token_hex(12)}"


def _is_beta(socket: WebSocket) -> bool:
    named = header(socket.scope, b"openai-beta") or b""
    return b"realtime=v1" in named or _BETA_PROTOCOL in socket.scope.get("subprotocols", [])


def _protocol(socket: WebSocket) -> str | None:
    return _PROTOCOL if _PROTOCOL in socket.scope.get("subprotocols", []) else None
