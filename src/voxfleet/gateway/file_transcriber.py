"""One uploaded file on its way to the service: admitted, received, understood, computed.

What every route that takes a file has in common; knows no route and no shape of an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.requests import Request

from voxfleet.core import EngineInfo, RecognitionOptions, Transcription
from voxfleet.errors import ModelNotFoundError, NotFoundError, ParameterError
from voxfleet.gateway.api_schemas import GatewaySettings, SpeechService
from voxfleet.gateway.disconnect import unless_client_leaves
from voxfleet.gateway.form_fields import (
    FormFields,
    Phrases,
    read_audio_options,
    read_phrases,
    read_text_options,
)
from voxfleet.gateway.http_errors import request_id_of, shown
from voxfleet.gateway.uploads import Upload, Uploads
from voxfleet.transcribe.language import known_language
from voxfleet.transcribe.pipeline import TranscribeRequest

#: OpenAI's own names, for clients that cannot be told another: they mean the default model
_OPENAI_MODEL = re.compile(r"whisper-1|gpt-(4o-(mini-)?)?transcribe([-.].*)?")

#: OpenAI's only for telling speakers apart, which is not what the default model would do
_OPENAI_DIARIZER = re.compile(r"gpt-.*-diarize([-.].*)?")


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """How the text is wanted; `warnings` tell of wishes that this server cannot meet."""

    format: str = "json"
    granularities: frozenset[str] = frozenset({"segment"})
    warnings: tuple[str, ...] = ()


class FileTranscriber:
    def __init__(self, service: SpeechService, settings: GatewaySettings) -> None:
        self._service = service
        self._settings = settings
        self._uploads = Uploads(settings.upload_dir, settings.max_upload_mb)

    async def transcribe(
        self,
        request: Request,
        file_fields: tuple[str, ...],
        read_style: Callable[[FormFields], AnswerStyle],
    ) -> tuple[Transcription, AnswerStyle]:
        """Refuses before the body is read where it can; cancels when the client goes away."""
        self._service.models()  # raises while none is loaded
        with self._service.admitted():
            async with self._uploads.receive(request, file_fields) as upload:
                return await self._answer(request, upload, read_style)

    async def _answer(
        self, request: Request, upload: Upload, read_style: Callable[[FormFields], AnswerStyle]
    ) -> tuple[Transcription, AnswerStyle]:
        fields = FormFields(upload.fields)
        style = read_style(fields)
        info = find_model(self._service, fields.one("model"))
        phrases = read_phrases(fields)
        recognition = read_recognition(fields, info, phrases, style)
        work = self._service.transcribe(self._task(request, upload, fields, info, recognition))
        transcription = await unless_client_leaves(request.receive, work)
        warnings = (*transcription.warnings, *style.warnings, *unused_prompt(phrases, info))
        return replace(transcription, warnings=warnings), style

    def _task(
        self,
        request: Request,
        upload: Upload,
        fields: FormFields,
        info: EngineInfo,
        recognition: RecognitionOptions,
    ) -> TranscribeRequest:
        return TranscribeRequest(
            path=upload.path,
            name=upload.name,
            model=info.model,
            audio=read_audio_options(fields, self._settings.default_vad),
            recognition=recognition,
            text=read_text_options(fields),
            timeout_s=self._settings.request_timeout_s,
            id=request_id_of(request),
            client=request.client.host if request.client else "",
        )


def find_model(service: SpeechService, name: str | None) -> EngineInfo:
    """The model by its name or alias; OpenAI's own names and no name mean the default."""
    try:
        return service.engine_info(name)
    except NotFoundError as error:
        if name is not None and _OPENAI_DIARIZER.fullmatch(name):
            raise ModelNotFoundError(
                f"model {shown(name)!r}: this server cannot tell speakers apart; name another "
                "model, with channel=split where each speaker has a channel",
                param="model",
            ) from error
        if name is not None and _OPENAI_MODEL.fullmatch(name):
            return service.engine_info(None)
        served = ", ".join(info.model for info in service.models())
        raise ModelNotFoundError(
            f"model {shown(name or '')!r} is not served here; this server has {served}",
            param="model",
        ) from error


def read_recognition(
    fields: FormFields, info: EngineInfo, phrases: Phrases, style: AnswerStyle
) -> RecognitionOptions:
    word_times = "word" in style.granularities
    # subtitles are cut at words where the model tells their times
    subtitles = style.format in ("srt", "vtt") and info.word_times
    if word_times and not info.word_times:
        raise ParameterError(
            f"timestamp_granularities: the model {info.model} gives no word times; ask for segment",
            param="timestamp_granularities[]",
        )
    return RecognitionOptions(
        language=read_language(fields, info),
        hotwords=wanted_phrases(phrases, info),
        word_times=word_times or subtitles,
        temperature=fields.number("temperature", 0, 1) or 0.0,
    )


def read_language(fields: FormFields, info: EngineInfo) -> str | None:
    """The one language asked for, or None for detection; several `languages` are left to it."""
    named = fields.one("language")
    if named is not None:
        return known_language("language", named, info)
    codes = {known_language("languages", name, info) for name in fields.many("languages")}
    return codes.pop() if len(codes) == 1 else None


def wanted_phrases(phrases: Phrases, info: EngineInfo) -> tuple[str, ...]:
    """Hotwords are passed on to every model, as the service tells of those not used."""
    return phrases.all if info.hotwords else replace(phrases, hinted=()).all


def unused_prompt(phrases: Phrases, info: EngineInfo) -> tuple[str, ...]:
    """Told rather than silently dropped: that a prompt means hotwords is known only here."""
    if info.hotwords or not phrases.hinted:
        return ()
    return (f"prompt: not used, as the model {info.model} takes no hotwords",)
