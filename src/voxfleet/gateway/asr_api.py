"""`POST /asr`: one file in, one short JSON object out, for scripts and call systems."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request

from voxfleet.errors import ParameterError
from voxfleet.gateway.api_schemas import asr_answer
from voxfleet.gateway.file_transcriber import AnswerStyle, FileTranscriber, UploadForm
from voxfleet.gateway.form_fields import FormFields
from voxfleet.gateway.form_schema import asr_form
from voxfleet.gateway.http_errors import warning_headers


class AsrApi:
    def __init__(self, transcriber: FileTranscriber) -> None:
        self._transcriber = transcriber

    def router(self) -> APIRouter:
        router = APIRouter(tags=["asr"])
        router.add_api_route(
            "/asr",
            self.transcribe,
            methods=["POST"],
            openapi_extra=asr_form(),
        )
        return router

    async def transcribe(self, request: Request) -> JSONResponse:
        """The text of one audio or video file, with its language and duration."""
        transcription, _ = await self._transcriber.transcribe(request, _FORM)
        return JSONResponse(
            asr_answer(transcription), headers=warning_headers(transcription.warnings)
        )


def read_asr_style(fields: FormFields) -> AnswerStyle:
    wanted = fields.one("response_format")
    if wanted not in (None, "json"):
        raise ParameterError(
            "response_format: POST /asr answers in JSON only; POST /v1/audio/transcriptions has "
            "the other formats",
            param="response_format",
        )
    return AnswerStyle()


_FORM = UploadForm(("audio", "file"), read_asr_style)
