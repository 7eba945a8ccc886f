"""One uploaded file on its way to the service: admitted, received, understood, computed.

What every route that takes a file has in common; knows no route and no shape of an answer.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from starlette.requests import Request

from voxfleet.core import EngineInfo, RecognitionOptions, Transcription
from voxfleet.errors import ModelNotFoundError, NotFoundError, ParameterError
from voxfleet.gateway.access import client_of
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
from voxfleet.gateway.request_limit import HEADER, request_limit_s
from voxfleet.gateway.uploads import Upload, Uploads
from voxfleet.observe.stages import UNOBSERVED, Stages
from voxfleet.transcribe.hotword_text import HotwordLists
from voxfleet.transcribe.language import known_language
from voxfleet.transcribe.transcribe_request import TranscribeRequest
from voxfleet.transcribe.transcript_stream import TextListener

#: OpenAI's own names, for clients that cannot be told another: they mean the default model
_OPENAI_MODEL = re.compile(
    r"whisper-1|gpt-(4o-(mini-)?|live-)?transcribe([-.].*)?|gpt-realtime-whisper([-.].*)?"
)

#: OpenAI's only for telling speakers apart, which is not what the default model would do
_OPENAI_DIARIZER = re.compile(r"gpt-.*-diarize([-.].*)?")


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """How the text is wanted; `warnings` tell of wishes that this server cannot meet."""

    format: str = "json"
    granularities: frozenset[str] = frozenset({"segment"})
    warnings: tuple[str, ...] = ()
    log_probs: bool = False
    #: event by event, while the file is still being recognised
    stream: bool = False


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What a route's form looks like: the fields that may hold the file, and how the rest is read.

    `other_names` are what its clients call fields that have another name here.
    """

    file_fields: tuple[str, ...]
    read_style: Callable[[FormFields], AnswerStyle]
    other_names: Mapping[str, str] = field(default_factory=dict)

    def named(self, fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(self._named(name), value) for name, value in fields]

    def _named(self, raw_name: str) -> str:
        name, bracket, rest = raw_name.partition("[")
        return self.other_names.get(name, name) + bracket + rest


@dataclass(frozen=True, slots=True)
class FileOrder:
    """A request that has been received and understood; `warnings` are known before its text."""

    task: TranscribeRequest
    style: AnswerStyle
    warnings: tuple[str, ...]


class FileTranscriber:
    def __init__(
        self,
        service: SpeechService,
        settings: GatewaySettings,
        lists: HotwordLists,
        stages: Stages = UNOBSERVED,
    ) -> None:
        self._service = service
        self._settings = settings
        self._lists = lists
        self._uploads = Uploads(settings.upload_dir, settings.max_upload_mb, stages)

    async def transcribe(
        self, request: Request, form: UploadForm
    ) -> tuple[Transcription, AnswerStyle]:
        """Refuses before the body is read where it can; cancels when the client goes away."""
        async with self.received(request, form) as order:
            return await self.answer(request, order), order.style

    @asynccontextmanager
    async def received(self, request: Request, form: UploadForm) -> AsyncIterator[FileOrder]:
        """The request's place and its file are held while in here; refuses as `transcribe`."""
        limit_s = request_limit_s(request.headers.get(HEADER), self._settings.request_timeout_s)
        self._service.models()  # raises while none is loaded
        with self._service.admitted():
            async with self._uploads.receive(request, form.file_fields) as upload:
                yield self._understood(request, upload, form, limit_s)

    async def answer(
        self, request: Request, order: FileOrder, listener: TextListener | None = None
    ) -> Transcription:
        """Cancels when the client goes away; the listener is told the text while it grows."""
        task = replace(order.task, text_listener=listener) if listener else order.task
        work = self._service.transcribe(task)
        transcription = await unless_client_leaves(request.receive, work)
        return replace(transcription, warnings=(*transcription.warnings, *order.warnings))

    def _understood(
        self, request: Request, upload: Upload, form: UploadForm, limit_s: float
    ) -> FileOrder:
        fields = FormFields(form.named(upload.fields))
        style = form.read_style(fields)
        info = find_model(self._service, fields.one("model"))
        phrases = read_phrases(fields, self._lists)
        recognition = read_recognition(fields, info, phrases, style)
        task = TranscribeRequest(
            path=upload.path,
            name=upload.name,
            model=info.model,
            audio=read_audio_options(fields, self._settings.default_vad),
            recognition=recognition,
            text=read_text_options(fields),
            timeout_s=limit_s,
            id=request_id_of(request),
            client=client_of(request.scope),
        )
        warnings = (
            *style.warnings,
            *missing_log_probs(style, info),
            *unused_prompt(phrases, info),
        )
        return FileOrder(task, style, warnings)


def find_model(service: SpeechService, name: str | None) -> EngineInfo:
    """The model by its name or alias; OpenAI's own names and no name mean the default."""
    try:
        return service.engine_info(name)
    except NotFoundError as error:
        if name is not None and _OPENAI_DIARIZER.fullmatch(name):
            raise ModelNotFoundError(
                f"model '{shown(name)}': this server cannot tell speakers apart; name another "
                "model, with channel=split where each speaker has a channel",
                param="model",
            ) from error
        if name is not None and _OPENAI_MODEL.fullmatch(name):
            return service.engine_info(None)
        served = ", ".join(info.model for info in service.models())
        raise ModelNotFoundError(
            f"model '{shown(name or '')}' is not served here; this server has {served}",
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
        word_times=word_times or subtitles or (style.log_probs and info.word_times),
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


def missing_log_probs(style: AnswerStyle, info: EngineInfo) -> tuple[str, ...]:
    if info.word_times or not style.log_probs:
        return ()
    return (f"include: no log probabilities, as the model {info.model} does not tell its words",)


def unused_prompt(phrases: Phrases, info: EngineInfo) -> tuple[str, ...]:
    """Told rather than silently dropped: that a prompt means hotwords is known only here."""
    if info.hotwords or not phrases.hinted:
        return ()
    return (f"prompt: not used, as the model {info.model} takes no hotwords",)
