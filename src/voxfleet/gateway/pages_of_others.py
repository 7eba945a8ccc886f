"""Which web pages of other origins may call from a browser, and what they may read (CORS).

Knows no route. What is not let in is answered, but the browser keeps the answer from the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from voxfleet.errors import RequestError
from voxfleet.gateway.http_errors import error_response

#: beside the body
_EXPOSED_HEADERS = (
    "etag",
    "retry-after",
    "x-queue-position",
    "x-request-id",
    "x-should-retry",
    "x-voxfleet-warnings",
)
_BAD_REQUEST = 400


class PagesOfOthers(CORSMiddleware):
    def __init__(self, app: ASGIApp, allow_origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=allow_origins,
            allow_methods=("GET", "POST", "PUT", "DELETE"),
            allow_headers=("*",),
            expose_headers=_EXPOSED_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """A refusal has the shape of all others."""
        response = super().preflight_response(request_headers)
        if response.status_code != _BAD_REQUEST:
            return response
        refusal = RequestError(
            "a page of this origin may not call here in this way; server.cors_origins names those"
            " that may"
        )
        kept = {name: value for name, value in response.headers.items() if name != "content-length"}
        kept.pop("content-type", None)
        return error_response(refusal, kept)
