"""Errors as HTTP answers: OpenAI's error body, its type by status, and the headers for retrying.

Knows the error tree and HTTP; knows no route. Anything unforeseen becomes a 500 that says nothing
of the inside, while the log holds the whole of it under the request's id.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from voxfleet.audio.displayed_name import displayed_name
from voxfleet.errors import (
    EngineFaultError,
    MethodError,
    NotFoundError,
    ParameterError,
    RequestError,
    VoxfleetError,
)

logger = logging.getLogger(__name__)

#: what a retrying client should wait where nobody could estimate it
_DEFAULT_RETRY_AFTER_S = 1.0
_MAX_SHOWN_CHARS = 100
#: servers and proxies take some 8 kB for all headers together
_MAX_WARNING_CHARS = 1000
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def shown(text: str, limit: int = _MAX_SHOWN_CHARS) -> str:
    """A client's string, fit for a one-line message of `limit` characters.

    Cut before it is escaped, as a field may hold a megabyte; what is empty stays so.
    """
    escaped = displayed_name(text[:limit]) if text else ""
    if len(escaped) <= limit and len(text) <= limit:
        return escaped
    return escaped[: limit - 1] + "…"


def error_type(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return _TYPES.get(status, "invalid_request_error")


def error_body(error: VoxfleetError) -> dict[str, dict[str, str | None]]:
    return {
        "error": {
            "message": error.message,
            "type": error_type(error.status),
            "param": error.param,
            "code": error.code,
        }
    }


def retry_headers(error: VoxfleetError) -> dict[str, str]:
    """OpenAI's client retries every 5xx, 408, 409 and 429 unless told that it is of no use."""
    if error.retryable:
        wait_s = error.retry_after_s if error.retry_after_s is not None else _DEFAULT_RETRY_AFTER_S
        return {"retry-after": str(max(1, math.ceil(wait_s))), "x-should-retry": "true"}
    if error.status == HTTPStatus.CONFLICT or error.status >= HTTPStatus.UNPROCESSABLE_ENTITY:
        return {"x-should-retry": "false"}
    return {}


def warning_headers(warnings: Sequence[str]) -> dict[str, str]:
    """For the formats that are plain text and have no room for warnings of their own."""
    if not warnings:
        return {}
    # the escape leaves no line break and nothing but ASCII, which is all a header may hold
    line = "; ".join(warnings)[: _MAX_WARNING_CHARS + 1].encode("unicode_escape").decode("ascii")
    if len(line) > _MAX_WARNING_CHARS:
        line = line[: _MAX_WARNING_CHARS - 3] + "..."
    return {"x-voxfleet-warnings": line}


def request_id_of(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


class ErrorResponse(JSONResponse):
    """Leaves the error's code in the request's state, for whoever counts errors."""

    def __init__(self, error: VoxfleetError, headers: Mapping[str, str]) -> None:
        super().__init__(error_body(error), error.status, headers=headers)
        self._code = error.code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["error_code"] = self._code
        await super().__call__(scope, receive, send)


def error_response(error: VoxfleetError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return ErrorResponse(error, {**retry_headers(error), **(headers or {})})


def internal_error(request_id: str) -> VoxfleetError:
    return VoxfleetError(
        f"an internal fault of the server; its log has the details under request id {request_id}"
    )


async def answer_voxfleet_error(request: Request, error: VoxfleetError) -> JSONResponse:
    """Errors raised on purpose. A 500 among them is logged, and only an engine's is told."""
    if error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return error_response(error)
    request_id = request_id_of(request)
    logger.error("request %s: %s", request_id, shown(error.message), exc_info=error)
    told = error if isinstance(error, EngineFaultError) else internal_error(request_id)
    return error_response(told)


async def answer_http_exception(request: Request, error: HTTPException) -> JSONResponse:
    """What the framework itself refuses: no such route, wrong method."""
    where = f"{shown(request.method)} {shown(request.url.path)}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        known = NotFoundError(f"there is no route {where}; GET / lists the routes")
        return error_response(known, error.headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(allowed_methods(request))
        wrong = MethodError(f"{where}: this route does not take that method; use {allowed}")
        return error_response(wrong, {"allow": allowed})
    return _plain_response(error)


def allowed_methods(request: Request) -> list[str]:
    """All that the path takes: the framework names those of the first route only."""
    return [method for method in _METHODS if _takes(request, method)]


def _takes(request: Request, method: str) -> bool:
    asked = {**request.scope, "method": method}
    return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)


def _plain_response(error: HTTPException) -> JSONResponse:
    status = HTTPStatus(error.status_code)
    body = {
        "error": {
            "message": str(error.detail),
            "type": error_type(status),
            "param": None,
            "code": status.phrase.lower().replace(" ", "_"),
        }
    }
    return JSONResponse(body, status, headers=error.headers)


async def answer_validation_error(_request: Request, error: RequestValidationError) -> JSONResponse:
    """FastAPI's own 422 for bad parameters; here a bad parameter is always 400."""
    return error_response(parameter_fault(error))


def parameter_fault(error: RequestValidationError) -> RequestError:
    faults = error.errors()
    if not faults:
        return RequestError("the request is not valid")
    name = ".".join(str(part) for part in faults[0]["loc"][1:]) or "body"
    return ParameterError(f"{shown(name)}: {shown(str(faults[0]['msg']), 200)}", param=shown(name))
