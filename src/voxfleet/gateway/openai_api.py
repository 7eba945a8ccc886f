"""OpenAI's routes: `POST /v1/audio/transcriptions`, `GET /v1/models`, `GET /v1/models/{id}`.

Knows the routes and their shapes; the way of a file to its text is `FileTranscriber`'s.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from voxfleet.core import Transcription
from voxfleet.gateway.api_schemas import SpeechService, model_object
from voxfleet.gateway.file_transcriber import AnswerStyle, FileTranscriber, find_model
from voxfleet.gateway.form_schema import openai_form
from voxfleet.gateway.http_errors import warning_headers
from voxfleet.gateway.openai_form import read_openai_style
from voxfleet.transcribe.formats import Rendered, render

#: segments that are written without a thread, which costs more than they do; beyond, the event
#: loop would stand still: a second for ten hours of words
_RENDERED_AT_ONCE = 32


class OpenAiApi:
    def __init__(
        self, service: SpeechService, transcriber: FileTranscriber, started_at_s: int
    ) -> None:
        self._service = service
        self._transcriber = transcriber
        self._started_at_s = started_at_s

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", tags=["openai"])
        router.add_api_route(
            "/audio/transcriptions",
            self.transcribe,
            methods=["POST"],
            openapi_extra=openai_form(),
        )
        router.add_api_route("/models", self.list_models, methods=["GET"])
        router.add_api_route("/models/{model_id:path}", self.retrieve_model, methods=["GET"])
        return router

    async def transcribe(self, request: Request) -> Response:
        """The text of one audio or video file."""
        transcription, style = await self._transcriber.transcribe(
            request, ("file",), read_openai_style
        )
        rendered = await _rendered(transcription, style)
        return Response(
            rendered.body,
            media_type=rendered.media_type,
            headers=warning_headers(transcription.warnings),
        )

    async def list_models(self) -> JSONResponse:
        """The models served here, the default first."""
        data = [model_object(info, self._started_at_s) for info in self._service.models()]
        return JSONResponse({"object": "list", "data": data})

    async def retrieve_model(self, model_id: str) -> JSONResponse:
        """One model, by its name or by any alias."""
        return JSONResponse(model_object(find_model(self._service, model_id), self._started_at_s))


async def _rendered(transcription: Transcription, style: AnswerStyle) -> Rendered:
    segments = sum(len(transcript.segments) for transcript in transcription.transcripts)
    wanted = (transcription, style.format, style.granularities)
    if segments <= _RENDERED_AT_ONCE:
        return render(*wanted)
    return await asyncio.to_thread(render, *wanted)
