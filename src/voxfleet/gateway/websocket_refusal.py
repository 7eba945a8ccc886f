"""A websocket that is not opened, and why: as an HTTP answer in the shape of all others.

Browsers show a page neither status nor body of it; servers that cannot send it accept the websocket
and close it with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from voxfleet.errors import VoxfleetError
from voxfleet.gateway.http_errors import error_response

_ANSWERS = "websocket.http.response"
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013
_MAX_REASON_BYTES = 123


async def refuse_websocket(
    refusal: VoxfleetError,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Of a websocket whose `websocket.connect` has been received, and that is not accepted yet."""
    if _ANSWERS in scope.get("extensions", {}):
        await error_response(refusal, headers)(scope, receive, send)
        return
    scope.setdefault("state", {})["error_code"] = refusal.code
    code = _TRY_AGAIN_LATER if refusal.retryable else _POLICY_VIOLATION
    await send({"type": "websocket.accept"})
    reason = close_reason(refusal.message)
    await send({"type": "websocket.close", "code": code, "reason": reason})


def close_reason(text: str) -> str:
    """As much as the frame of a close can hold."""
    return text.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
