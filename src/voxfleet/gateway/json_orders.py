"""Orders with a small JSON body: read within limits, and never taken from a strange web page.

Knows no order.
"""

from __future__ import annotations

from starlette.requests import Request

from voxfleet.errors import RequestError
from voxfleet.gateway.http_errors import shown
from voxfleet.gateway.upload_pace import MIN_UPLOAD_BYTES_PER_S, UPLOAD_WINDOW_S, UploadPace
from voxfleet.gateway.uploads import body_chunks


async def refuse_web_pages(request: Request) -> None:
    """Keeps the page of another site from giving orders through its visitor's browser.

    A page can send a form, plain text or nothing at all to any address without asking first. It
    must ask before it sends JSON, and nobody here says yes. Nothing at all is welcome from those
    who are no browser: a browser names the page in `Origin`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or (not kind and "origin" not in request.headers):
        return
    raise RequestError(
        f"the content type {shown(kind) or '(none)'!r} is not taken here, so that no web page can"
        " give orders through a browser; send Content-Type: application/json"
    )


async def small_body(request: Request, max_bytes: int, remedy: str) -> bytes:
    """The whole body, as it comes; raises RequestError with the remedy where it is larger."""
    body = bytearray()
    pace = UploadPace(UPLOAD_WINDOW_S, MIN_UPLOAD_BYTES_PER_S)
    async for chunk in body_chunks(request.receive, pace):
        body += chunk
        if len(body) > max_bytes:
            raise RequestError(f"the body has more than {max_bytes} bytes; {remedy}")
    return bytes(body)
