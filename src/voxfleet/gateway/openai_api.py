"""OpenAI's routes: `POST /v1/audio/transcriptions` and `/translations`, `GET /v1/models`.

Knows the routes and their shapes; the way of a file to its text is `FileTranscriber`'s.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from voxfleet.core import Transcription
from voxfleet.errors import ParameterError
from voxfleet.gateway.api_schemas import SpeechService, model_object
from voxfleet.gateway.file_transcriber import (
    AnswerStyle,
    FileTranscriber,
    UploadForm,
    find_model,
)
from voxfleet.gateway.form_schema import openai_form
from voxfleet.gateway.http_errors import warning_headers
from voxfleet.gateway.long_answers import written
from voxfleet.gateway.openai_form import read_openai_style
from voxfleet.gateway.transcript_events import TranscriptEvents
from voxfleet.transcribe.formats import Rendered, render

_FORM = UploadForm(("file",), read_openai_style)


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
        router.add_api_route("/audio/translations", self.translate, methods=["POST"])
        router.add_api_route("/models", self.list_models, methods=["GET"])
        router.add_api_route("/models/{model_id:path}", self.retrieve_model, methods=["GET"])
        return router

    async def transcribe(self, request: Request) -> Response:
        """The text of one audio or video file; with `stream`, as events while it is recognised."""
        async with AsyncExitStack() as held:
            order = await held.enter_async_context(self._transcriber.received(request, _FORM))
            if order.style.stream:
                return TranscriptEvents(self._transcriber, request, order, held.pop_all())
            transcription = await self._transcriber.answer(request, order)
        rendered = await written(transcription, partial(_rendered, transcription, order.style))
        return Response(
            rendered.body,
            media_type=rendered.media_type,
            headers=warning_headers(transcription.warnings),
        )

    async def translate(self) -> Response:
        """Refused with 400, unread: no model of this server translates."""
        raise ParameterError(
            "no model of this server translates: each writes the language that is spoken; send the"
            " file to POST /v1/audio/transcriptions",
            param="model",
        )

    async def list_models(self) -> JSONResponse:
        """The models served here, the default first."""
        data = [model_object(info, self._started_at_s) for info in self._service.models()]
        return JSONResponse({"object": "list", "data": data})

    async def retrieve_model(self, model_id: str) -> JSONResponse:
        """One model, by its name or by any alias."""
        return JSONResponse(model_object(find_model(self._service, model_id), self._started_at_s))


def _rendered(transcription: Transcription, style: AnswerStyle) -> Rendered:
    return render(transcription, style.format, style.granularities, with_log_probs=style.log_probs)
