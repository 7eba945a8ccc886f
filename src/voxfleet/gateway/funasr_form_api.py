"""`POST /recognition`: the upload form of FunASR's HTTP server, for the clients written for it.

Its faults are told twice: in the status and in `error` as everywhere here, and in the `code` and
`msg` that FunASR's clients look at, which its own server sends with status 200.
"""

from __future__ import annotations

import json

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request

from voxfleet.core import Transcription
from voxfleet.errors import CancelledError, Fault, VoxfleetError
from voxfleet.gateway.asr_api import read_asr_style
from voxfleet.gateway.file_transcriber import FileTranscriber, UploadForm
from voxfleet.gateway.form_schema import funasr_form
from voxfleet.gateway.http_errors import answer_voxfleet_error, warning_headers

#: as in FunASR's server: what is wrong with the sound or the request, and all else
_REFUSED, _FAILED = 1, -1

_FORM = UploadForm(("audio", "file"), read_asr_style, other_names={"hotword": "hotwords"})


class FunAsrFormApi:
    def __init__(self, transcriber: FileTranscriber) -> None:
        self._transcriber = transcriber

    def router(self) -> APIRouter:
        router = APIRouter(tags=["funasr"])
        router.add_api_route(
            "/recognition", self.recognise, methods=["POST"], openapi_extra=funasr_form()
        )
        return router

    async def recognise(self, request: Request) -> JSONResponse:
        """The text of one audio or video file, and its sentences with their times in ms."""
        try:
            transcription, _ = await self._transcriber.transcribe(request, _FORM)
        except CancelledError:
            raise
        except VoxfleetError as error:
            return await _refused(request, error)
        headers = warning_headers(transcription.warnings)
        return JSONResponse(funasr_answer(transcription), headers=headers)


def funasr_answer(transcription: Transcription) -> dict[str, object]:
    """One sentence for each segment, in time order; of a split recording, all its channels'."""
    segments = [
        segment for transcript in transcription.transcripts for segment in transcript.segments
    ]
    return {
        "text": "\n".join(transcript.text for transcript in transcription.transcripts),
        "sentences": [
            {
                "text": segment.text,
                "start": round(segment.start_s * 1000),
                "end": round(segment.end_s * 1000),
            }
            for segment in sorted(segments, key=lambda segment: segment.start_s)
        ],
        "code": 0,
    }


async def _refused(request: Request, error: VoxfleetError) -> JSONResponse:
    answer = await answer_voxfleet_error(request, error)
    fault: dict[str, dict[str, str | None]] = json.loads(bytes(answer.body))
    code = _REFUSED if error.fault is Fault.CLIENT else _FAILED
    body = {**fault, "code": code, "msg": fault["error"]["message"]}
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return JSONResponse(body, answer.status_code, headers=headers)
