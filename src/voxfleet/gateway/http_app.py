"""The web application: routes, error answers and middleware put together around one service.

Knows the parts of the gateway; knows neither how the service computes nor who runs the loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voxfleet.errors import VoxfleetError
from voxfleet.gateway.access import Access, Keys
from voxfleet.gateway.admin_api import AdminApi
from voxfleet.gateway.api_schemas import GatewaySettings, SpeechService
from voxfleet.gateway.asr_api import AsrApi
from voxfleet.gateway.client_secrets import ClientSecrets
from voxfleet.gateway.docs_pages import bare_app
from voxfleet.gateway.file_transcriber import FileTranscriber
from voxfleet.gateway.funasr_form_api import FunAsrFormApi
from voxfleet.gateway.funasr_ws import FunAsrLimits, FunAsrWs
from voxfleet.gateway.hotword_lists import HotwordShelf
from voxfleet.gateway.hotwords_api import HotwordsApi
from voxfleet.gateway.http_errors import (
    answer_http_exception,
    answer_validation_error,
    answer_voxfleet_error,
)
from voxfleet.gateway.metrics_api import MetricsApi
from voxfleet.gateway.openai_api import OpenAiApi
from voxfleet.gateway.openapi_document import describe
from voxfleet.gateway.paced_starts import PacedStarts
from voxfleet.gateway.pages_of_others import PagesOfOthers
from voxfleet.gateway.probes import Probes
from voxfleet.gateway.readiness import Readiness
from voxfleet.gateway.realtime_api import RealtimeApi, RealtimeLimits
from voxfleet.gateway.request_edge import CrashAnswer, LingeringClose, RequestId
from voxfleet.gateway.request_meter import RequestMeter
from voxfleet.gateway.request_status_api import RequestStatusApi
from voxfleet.gateway.root_path import RootPath
from voxfleet.gateway.websocket_log import WebsocketLog
from voxfleet.observe.metrics import Metrics
from voxfleet.observe.request_record import RequestTracer
from voxfleet.observe.stages import Stages
from voxfleet.transcribe.hotword_text import WITHOUT_LISTS, HotwordLists


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What a whole server has around its service; an app for a test can do without."""

    readiness: Readiness | None = None
    keys: Keys | None = None
    hotwords: HotwordShelf | None = None
    warnings: Callable[[], Sequence[str]] = tuple
    metrics: Metrics | None = None
    tracer: RequestTracer | None = None
    secrets: ClientSecrets | None = None


def create_app(
    service: SpeechService, settings: GatewaySettings, parts: GatewayParts | None = None
) -> FastAPI:
    """The whole application; whoever made the service starts and stops it."""
    parts = parts or GatewayParts()
    app = bare_app(settings.version, settings.docs)
    metrics = parts.metrics or Metrics()
    lists = parts.hotwords or WITHOUT_LISTS
    transcriber = FileTranscriber(service, settings, lists, Stages(metrics))
    openai, asr = OpenAiApi(service, transcriber, settings.started_at_s), AsrApi(transcriber)
    funasr = FunAsrFormApi(transcriber)
    secrets = parts.secrets or ClientSecrets()
    readiness = parts.readiness or Readiness(service)
    _add_live(app, service, settings, lists, secrets, readiness)
    probes = Probes(service, settings, readiness)
    app.include_router(openai.router())
    app.include_router(asr.router())
    app.include_router(funasr.router())
    app.include_router(AdminApi(service, settings, parts.warnings).router())
    app.include_router(RequestStatusApi(service).router())
    if parts.hotwords:
        app.include_router(HotwordsApi(parts.hotwords, service.unknown_hotwords).router())
    app.include_router(probes.router())
    app.include_router(MetricsApi(service, settings, metrics, readiness).router())
    app.add_api_route("/", index, methods=["GET"])
    for path, probe in probes.by_path.items():
        _shorten(app, path, probe, "GET")
    _shorten(app, "/recognition", funasr.recognise)
    _shorten(app, "/asr", asr.transcribe)
    # the last one is looked at first
    _shorten(app, "/v1/audio/transcriptions", openai.transcribe)
    _answer_errors(app)
    describe(app)
    _surround(app, settings, replace(parts, secrets=secrets), metrics)
    app.add_middleware(PacedStarts, at_once=probes.by_path)
    if settings.root_path:
        app.add_middleware(RootPath, root_path=settings.root_path)
    return app


def _add_live(
    app: FastAPI,
    service: SpeechService,
    settings: GatewaySettings,
    lists: HotwordLists,
    secrets: ClientSecrets,
    readiness: Readiness,
) -> None:
    """Both protocols for those who speak."""
    limits = RealtimeLimits(
        settings.max_session_s, settings.secret_lifetime_s, settings.default_vad
    )
    app.include_router(RealtimeApi(service, lists, limits, secrets).router())
    funasr_limits = FunAsrLimits(settings.max_sessions, settings.idle_timeout_s, itn=settings.itn)
    funasr = FunAsrWs(service, lists, settings, funasr_limits)
    readiness.at_drain(funasr.stop)
    app.include_router(funasr.router())


def _surround(
    app: FastAPI, settings: GatewaySettings, parts: GatewayParts, metrics: Metrics
) -> None:
    """What every request goes through; the last one added is the outermost."""
    if parts.keys is not None:
        app.add_middleware(
            Access,
            keys=parts.keys,
            trusted_origins=settings.cors_origins,
            secrets=parts.secrets,
        )
    app.add_middleware(CrashAnswer)
    if settings.cors_origins:
        app.add_middleware(PagesOfOthers, allow_origins=settings.cors_origins)
    app.add_middleware(RequestMeter, metrics=metrics, tracer=parts.tracer)
    app.add_middleware(WebsocketLog)
    app.add_middleware(LingeringClose)
    app.add_middleware(RequestId)


def _shorten(
    app: FastAPI,
    path: str,
    answer: Callable[[Request], Awaitable[Response]],
    method: str = "POST",
) -> None:
    """Give a route that reads its request itself a way around FastAPI's parameters and models.

    They have nothing to do for it and are a twelfth of what a small upload costs. FastAPI's own
    route stays behind this one, for OpenAPI.
    """
    route = Route(path, answer, methods=[method], include_in_schema=False)
    app.router.routes.insert(0, route)


def _answer_errors(app: FastAPI) -> None:
    app.exception_handler(VoxfleetError)(answer_voxfleet_error)
    app.exception_handler(HTTPException)(answer_http_exception)
    app.exception_handler(RequestValidationError)(answer_validation_error)


async def index(request: Request) -> JSONResponse:
    """What this server is and where to go on."""
    app: FastAPI = request.app
    routes = [
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    return JSONResponse(
        {
            "name": "voxfleet",
            "version": app.version,
            "description": "A self-hosted speech-recognition server with OpenAI's API.",
            "routes": sorted(routes),
            **({"openapi": app.openapi_url, "docs": "/docs"} if app.openapi_url else {}),
        }
    )
