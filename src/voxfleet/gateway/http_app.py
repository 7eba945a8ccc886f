"""The web application: routes, error answers and middleware put together around one service.

Knows the parts of the gateway; knows neither how the service computes nor who runs the loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voxfleet.errors import VoxfleetError
from voxfleet.gateway.admin_api import AdminApi
from voxfleet.gateway.api_schemas import GatewaySettings, SpeechService
from voxfleet.gateway.asr_api import AsrApi
from voxfleet.gateway.file_transcriber import FileTranscriber
from voxfleet.gateway.http_errors import (
    answer_http_exception,
    answer_validation_error,
    answer_voxfleet_error,
)
from voxfleet.gateway.openai_api import OpenAiApi
from voxfleet.gateway.probes import Probes
from voxfleet.gateway.request_edge import CrashAnswer, LingeringClose, RequestId
from voxfleet.gateway.request_status_api import RequestStatusApi


def create_app(service: SpeechService, settings: GatewaySettings) -> FastAPI:
    """The whole application; whoever made the service starts and stops it."""
    app = FastAPI(
        title="voxfleet",
        version=settings.version,
        # these pages load scripts from other hosts, which a closed network does not have
        docs_url=None,
        redoc_url=None,
        # a redirect would make a client send its upload twice
        redirect_slashes=False,
    )
    transcriber = FileTranscriber(service, settings)
    openai, asr = OpenAiApi(service, transcriber, settings.started_at_s), AsrApi(transcriber)
    app.include_router(openai.router())
    app.include_router(asr.router())
    app.include_router(AdminApi(service, settings).router())
    app.include_router(RequestStatusApi(service).router())
    app.include_router(Probes(service, settings).router())
    app.add_api_route("/", index, methods=["GET"])
    _shorten(app, "/v1/audio/transcriptions", openai.transcribe)
    _shorten(app, "/asr", asr.transcribe)
    _answer_errors(app)
    # the last one added is the outermost
    app.add_middleware(CrashAnswer)
    app.add_middleware(LingeringClose)
    app.add_middleware(RequestId)
    return app


def _shorten(app: FastAPI, path: str, answer: Callable[[Request], Awaitable[Response]]) -> None:
    """Give a route that reads its request itself a way around FastAPI's parameters and models.

    They have nothing to do for it and are a twelfth of what a small upload costs. FastAPI's own
    route stays behind this one, for OpenAPI.
    """
    route = Route(path, answer, methods=["POST"], include_in_schema=False)
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
            "openapi": "/openapi.json",
        }
    )
