"""What realtime clients are told, as events of OpenAI's two dialects: today's and the beta's. Pure.

Both have the same sessions and items; the beta has a flat session and fewer events.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from voxfleet.core import EngineInfo
from voxfleet.errors import BY_CODE, VoxfleetError
from voxfleet.gateway.http_errors import error_type
from voxfleet.gateway.realtime_options import missing
from voxfleet.gateway.realtime_settings import (
    FLAT_FORMAT_NAMES,
    FORMAT_NAMES,
    LOG_PROBS,
    RealtimeSettings,
)
from voxfleet.media.live_sound import SoundEncoding
from voxfleet.transcribe.log_probs import log_probs
from voxfleet.transcribe.session_contract import (
    Cleared,
    Committed,
    Completed,
    Ending,
    ItemFailed,
    NothingSaid,
    PartialText,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
)

JsonObject = dict[str, object]
_Single = SpeechStarted | SpeechStopped | Cleared | PartialText | Completed | ItemFailed | Ending

_OBJECT = "realtime.transcription_session"
_TEXT = "conversation.item.input_audio_transcription"
_BUFFER = "input_audio_buffer"


def session_object(
    session_id: str, settings: RealtimeSettings, info: EngineInfo, expires_at: int | None
) -> JsonObject:
    """Today's dialect; `warnings` and the words before it are ours."""
    notes = missing(settings, info)
    return {
        "id": session_id,
        "object": _OBJECT,
        "type": "transcription",
        "audio": {
            "input": {
                "format": _format(settings),
                "noise_reduction": None,
                "transcription": _transcription(settings, info),
                "turn_detection": _turns(settings, idle=True),
            }
        },
        "include": [LOG_PROBS] if settings.log_probs else None,
        "expires_at": expires_at,
        "vad": settings.vad.value,
        "itn": settings.itn,
        "punctuate": settings.punctuate,
        **({"warnings": list(notes)} if notes else {}),
    }


def flat_session_object(
    session_id: str, settings: RealtimeSettings, info: EngineInfo, expires_at: int, secret: str = ""
) -> JsonObject:
    """The beta's, whose clients insist on a secret; it is empty where none was asked for."""
    transcription = _transcription(settings, info)
    # the beta's clients know OpenAI's own names alone
    transcription["model"] = settings.model or info.model
    return {
        "id": session_id,
        "object": _OBJECT,
        "client_secret": {"value": secret, "expires_at": expires_at},
        "input_audio_format": FLAT_FORMAT_NAMES[settings.encoding],
        "input_audio_noise_reduction": None,
        "input_audio_transcription": transcription,
        "turn_detection": _turns(settings, idle=False),
        "include": [LOG_PROBS] if settings.log_probs else None,
    }


def _format(settings: RealtimeSettings) -> JsonObject:
    named: JsonObject = {"type": FORMAT_NAMES[settings.encoding]}
    return named | ({"rate": settings.rate_hz} if settings.encoding is SoundEncoding.PCM16 else {})


def _transcription(settings: RealtimeSettings, info: EngineInfo) -> JsonObject:
    told: JsonObject = {"model": info.model, "language": settings.language}
    lists = ("languages", settings.languages), ("keywords", settings.keywords)
    told |= {name: list(words) for name, words in lists if words}
    if settings.hotwords:
        told["hotwords"] = list(settings.hotwords)
    return told | ({"prompt": settings.prompt} if settings.prompt else {})


def _turns(settings: RealtimeSettings, *, idle: bool) -> JsonObject | None:
    if not settings.detect:
        return None
    told: JsonObject = {
        "type": "server_vad",
        "threshold": settings.threshold,
        "prefix_padding_ms": settings.prefix_ms,
        "silence_duration_ms": settings.silence_ms,
    }
    return told | ({"idle_timeout_ms": settings.idle_ms} if idle else {})


@dataclass(slots=True)
class Teller:
    """Writes one session's events, with the ids that belong to them."""

    session_id: str
    beta: bool = False
    log_probs: bool = False
    _events: int = 0
    _key: str = field(default_factory=lambda: secrets.token_hex(8))
    #: the utterance that was committed last, and the one that was spoken of last
    _committed: int | None = None
    _latest: int = -1

    def event(self, kind: str, **content: object) -> JsonObject:
        self._events += 1
        return {"type": kind, "event_id": f"event_{self._key}{self._events:04d}", **content}

    def error(
        self, code: str, message: str, param: str | None, kind: str, event_id: str | None
    ) -> JsonObject:
        fault = {"type": kind, "code": code, "message": message, "param": param}
        return self.event("error", error=fault | {"event_id": event_id})

    def session(
        self,
        kind: str,
        settings: RealtimeSettings,
        info: EngineInfo,
        expires_at: int,
    ) -> JsonObject:
        """`kind` is `created` or `updated`."""
        if not self.beta:
            told = session_object(self.session_id, settings, info, expires_at)
            return self.event(f"session.{kind}", session=told)
        told = flat_session_object(self.session_id, settings, info, expires_at)
        name = "session.created" if kind == "created" else "transcription_session.updated"
        return self.event(name, session=told)

    def tell(self, event: SessionEvent) -> Iterator[JsonObject]:
        match event:
            case Committed():
                yield from self._commit(event)
            case NothingSaid():
                yield from self._nothing_said(event)
            case _:
                yield self._one(event)

    def _one(self, event: _Single) -> JsonObject:
        match event:
            case SpeechStarted() | SpeechStopped():
                return self._speech(event)
            case Cleared():
                return self.event(f"{_BUFFER}.cleared")
            case PartialText():
                return self._of_item(f"{_TEXT}.delta", event.item, delta=event.text)
            case Completed():
                return self._complete(event)
            case ItemFailed():
                return self._of_item(f"{_TEXT}.failed", event.item, error=_failure(event))
            case Ending():
                code = "internal_error" if event.broken else "session_expired"
                return self.error(code, event.reason, None, "server_error", None)

    def _speech(self, event: SpeechStarted | SpeechStopped) -> JsonObject:
        self._latest = max(self._latest, event.item)
        started = isinstance(event, SpeechStarted)
        word, side = ("started", "start") if started else ("stopped", "end")
        place: Mapping[str, object] = {f"audio_{side}_ms": _ms(event.at_s)}
        return self.event(f"{_BUFFER}.speech_{word}", item_id=self._item_id(event.item), **place)

    def _commit(self, event: Committed) -> Iterator[JsonObject]:
        before = None if self._committed is None else self._item_id(self._committed)
        self._committed = event.item
        self._latest = max(self._latest, event.item)
        item_id = self._item_id(event.item)
        yield self.event(f"{_BUFFER}.committed", item_id=item_id, previous_item_id=before)
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        for word in ("created",) if self.beta else ("added", "done"):
            yield self.event(f"conversation.item.{word}", previous_item_id=before, item=item)

    def _complete(self, event: Completed) -> JsonObject:
        more: JsonObject = {}
        if event.language and not self.beta:
            more["languages"] = [{"code": event.language}]
        if self.log_probs:
            more["logprobs"] = log_probs(event.words)
        usage = {"type": "duration", "seconds": round(event.end_s - event.start_s, 3)}
        return self._of_item(
            f"{_TEXT}.completed", event.item, transcript=event.text, usage=usage, **more
        )

    def _nothing_said(self, event: NothingSaid) -> Iterator[JsonObject]:
        """The beta's clients would take it for an event that they know."""
        if not self.beta:
            yield self.event(
                f"{_BUFFER}.timeout_triggered",
                audio_start_ms=_ms(event.start_s),
                audio_end_ms=_ms(event.end_s),
                item_id=self._item_id(self._latest + 1),
            )

    def _of_item(self, kind: str, item: int, **content: object) -> JsonObject:
        return self.event(kind, item_id=self._item_id(item), content_index=0, **content)

    def _item_id(self, item: int) -> str:
        return f"item_{self._key}{item:04d}"


def _failure(event: ItemFailed) -> JsonObject:
    status = BY_CODE.get(event.code, VoxfleetError).status
    return {
        "type": error_type(status),
        "code": event.code,
        "message": event.message,
        "param": None,
    }


def _ms(at_s: float) -> int:
    return round(at_s * 1000)
