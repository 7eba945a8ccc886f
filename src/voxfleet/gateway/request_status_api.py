"""`GET /v1/requests/{request_id}`: how far a request is that somebody still waits for.

Knows the ids of requests that are being answered; nothing is kept of those that were.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from voxfleet.errors import NotFoundError
from voxfleet.gateway.api_schemas import SpeechService
from voxfleet.gateway.http_errors import shown


class RequestStatusApi:
    def __init__(self, service: SpeechService) -> None:
        self._service = service

    def router(self) -> APIRouter:
        router = APIRouter(tags=["requests"])
        router.add_api_route("/v1/requests/{request_id}", self.status, methods=["GET"])
        return router

    async def status(self, request_id: str) -> JSONResponse:
        """Whether a request waits or runs, and its place in the queue."""
        progress = self._service.progress(request_id)
        if progress is None:
            raise NotFoundError(
                f"request '{shown(request_id)}' is not being answered; it has ended, or has never"
                " been here under this X-Request-Id"
            )
        position = progress.queue_position
        headers = {} if position is None else {"X-Queue-Position": str(position)}
        body = {
            "id": request_id,
            "state": progress.state,
            "queue_position": position,
            "decoded_s": round(progress.decoded_s, 3),
        }
        return JSONResponse(body, headers=headers)
