"""The settings of a realtime session as clients change them. Pure.

A change names only what is to be another; null is the default again. Knows no
model, see `realtime_options`, and no socket.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from msgspec import UNSET, UnsetType

from voxfleet.core import VadMode
from voxfleet.errors import ParameterError
from voxfleet.gateway.form_fields import FormFields
from voxfleet.gateway.http_errors import shown
from voxfleet.gateway.realtime_events import (
    AudioPatch,
    FormatPatch,
    InputPatch,
    SessionPatch,
    TranscriptionPatch,
    TurnPatch,
)
from voxfleet.media.live_sound import SoundEncoding
from voxfleet.transcribe.hotword_text import hotwords_in, split_hotwords

S = TypeVar("S")
T = TypeVar("T")

LOG_PROBS = "item.input_audio_transcription.logprobs"
_G711_HZ = 8_000
_PCM_RATES_HZ = (24_000, 16_000)
_INPUT = "session.audio.input"
_ENCODINGS = {
    "audio/pcm": SoundEncoding.PCM16,
    "audio/pcmu": SoundEncoding.ULAW,
    "audio/pcma": SoundEncoding.ALAW,
}
FORMAT_NAMES = {encoding: name for name, encoding in _ENCODINGS.items()}
#: as the older dialect calls them
_FLAT_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
FLAT_FORMAT_NAMES = {_ENCODINGS[name]: flat for flat, name in _FLAT_FORMATS.items()}
#: what OpenAI calls models that hold conversations: beside `intent=transcription` they say nothing
_CONVERSATIONAL = re.compile(r"gpt-(4o-)?(mini-)?realtime(?!-whisper)([-.].*)?")


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """`model` as the client calls it; `keywords` and `hotwords` as it wrote them, lists by name."""

    model: str | None = None
    encoding: SoundEncoding = SoundEncoding.PCM16
    rate_hz: int = _PCM_RATES_HZ[0]
    detect: bool = True
    threshold: float = 0.5
    prefix_ms: int = 300
    silence_ms: int = 500
    idle_ms: int | None = None
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str = ""
    keywords: tuple[str, ...] = ()
    hotwords: tuple[str, ...] = ()
    noise_reduction: bool = False
    log_probs: bool = False
    vad: VadMode = VadMode.AUTO
    itn: bool = False
    punctuate: bool | None = None


_DEFAULT = RealtimeSettings()


def read_query(fields: FormFields, first: RealtimeSettings) -> RealtimeSettings:
    """The settings as the websocket's address changes `first`; raises ParameterError."""
    intent = fields.one("intent")
    if intent not in (None, "transcription"):
        raise ParameterError(
            f"intent '{shown(intent)}': this server transcribes; use intent=transcription",
            param="intent",
        )
    return replace(
        first,
        model=_spoken_model(fields.one("model")) or first.model,
        language=fields.one("language") or first.language,
        hotwords=split_hotwords(",".join(fields.many("hotwords"))) or first.hotwords,
        vad=VadMode(fields.choice("vad", tuple(VadMode)) or first.vad),
    )


def _spoken_model(name: str | None) -> str | None:
    return None if name is None or _CONVERSATIONAL.fullmatch(name) else name


def changed(
    settings: RealtimeSettings, patch: SessionPatch, default_vad: VadMode
) -> RealtimeSettings:
    """Raises ParameterError, which names the place; then nothing has changed."""
    if patch.type not in (UNSET, None, "transcription"):
        raise _unknown("session.type", patch.type, ("transcription",))
    for each in _inputs(patch):
        settings = _with_input(settings, each)
    return replace(
        settings,
        log_probs=_given(patch.include, settings.log_probs, _read_include, default=False),
        vad=_given(patch.vad, settings.vad, _read_vad, default=default_vad),
        itn=_given(patch.itn, settings.itn, bool, default=False),
        punctuate=_given(patch.punctuate, settings.punctuate, bool, default=None),
    )


def _inputs(patch: SessionPatch) -> Iterable[InputPatch]:
    """What both dialects say of the sound; clients speak one of them."""
    flat_format: FormatPatch | UnsetType = UNSET
    if isinstance(patch.input_audio_format, str):
        named = _FLAT_FORMATS.get(patch.input_audio_format)
        if named is None:
            raise _unknown("session.input_audio_format", patch.input_audio_format, _FLAT_FORMATS)
        flat_format = FormatPatch(named)
    yield InputPatch(
        flat_format,
        patch.input_audio_noise_reduction,
        patch.input_audio_transcription,
        patch.turn_detection,
    )
    if isinstance(patch.audio, AudioPatch) and isinstance(patch.audio.input, InputPatch):
        yield patch.audio.input


def _with_input(settings: RealtimeSettings, patch: InputPatch) -> RealtimeSettings:
    if isinstance(patch.format, FormatPatch):
        settings = _with_format(settings, patch.format)
    if patch.noise_reduction is not UNSET:
        settings = replace(settings, noise_reduction=patch.noise_reduction is not None)
    if patch.transcription is None:
        settings = _with_transcription(settings, _NO_TRANSCRIPTION)
    elif isinstance(patch.transcription, TranscriptionPatch):
        settings = _with_transcription(settings, patch.transcription)
    if patch.turn_detection is None:
        return replace(settings, detect=False)
    if isinstance(patch.turn_detection, TurnPatch):
        return _with_turns(settings, patch.turn_detection)
    return settings


def _with_format(settings: RealtimeSettings, patch: FormatPatch) -> RealtimeSettings:
    name = patch.type if isinstance(patch.type, str) else FORMAT_NAMES[settings.encoding]
    encoding = _ENCODINGS.get(name)
    if encoding is None:
        raise _unknown(f"{_INPUT}.format.type", name, _ENCODINGS)
    rates = _PCM_RATES_HZ if encoding is SoundEncoding.PCM16 else (_G711_HZ,)
    kept = settings.rate_hz if encoding is settings.encoding else rates[0]
    rate_hz = patch.rate if isinstance(patch.rate, int) else kept
    if rate_hz not in rates:
        raise ParameterError(
            f"{_INPUT}.format.rate: {name} is taken at {' or '.join(map(str, rates))} Hz, not at"
            f" {rate_hz}",
            param=f"{_INPUT}.format.rate",
        )
    return replace(settings, encoding=encoding, rate_hz=rate_hz)


_NO_TRANSCRIPTION = TranscriptionPatch(None, None, None, None, None, None)


def _with_transcription(settings: RealtimeSettings, patch: TranscriptionPatch) -> RealtimeSettings:
    return replace(
        settings,
        model=_given(patch.model, settings.model, _spoken_model, default=None),
        language=_given(patch.language, settings.language, _text, default=None),
        languages=_given(patch.languages, settings.languages, tuple, default=()),
        prompt=_given(patch.prompt, settings.prompt, str, default=""),
        keywords=_given(patch.keywords, settings.keywords, hotwords_in, default=()),
        hotwords=_given(patch.hotwords, settings.hotwords, hotwords_in, default=()),
    )


def _with_turns(settings: RealtimeSettings, patch: TurnPatch) -> RealtimeSettings:
    place = f"{_INPUT}.turn_detection"
    if patch.type == "semantic_vad":
        raise ParameterError(
            f"{place}.type: no model here tells the end of a thought; use server_vad with"
            " silence_duration_ms, or null and commit yourself",
            param=f"{place}.type",
        )
    if patch.type not in (UNSET, None, "server_vad"):
        raise _unknown(f"{place}.type", patch.type, ("server_vad",))
    turned = replace(
        settings,
        detect=True,
        threshold=_given(patch.threshold, settings.threshold, float, default=_DEFAULT.threshold),
        prefix_ms=_given(patch.prefix_padding_ms, settings.prefix_ms, int, _DEFAULT.prefix_ms),
        silence_ms=_given(patch.silence_duration_ms, settings.silence_ms, int, _DEFAULT.silence_ms),
        idle_ms=_given(patch.idle_timeout_ms, settings.idle_ms, int, None),
    )
    _within(f"{place}.threshold", turned.threshold, 0, 1)
    _within(f"{place}.prefix_padding_ms", turned.prefix_ms, 0, 5_000)
    _within(f"{place}.silence_duration_ms", turned.silence_ms, 100, 10_000)
    _within(f"{place}.idle_timeout_ms", turned.idle_ms, 1_000, 600_000)
    return turned


def _given(value: S | UnsetType | None, kept: T, read: Callable[[S], T], default: T) -> T:
    """What a field that may be left out, or null, makes of a setting."""
    if isinstance(value, UnsetType):
        return kept
    return default if value is None else read(value)


def _text(value: str) -> str | None:
    return value.strip() or None


def _read_include(wanted: list[str]) -> bool:
    for each in wanted:
        if each != LOG_PROBS:
            raise _unknown("session.include", each, (LOG_PROBS,))
    return bool(wanted)


def _read_vad(name: str) -> VadMode:
    if name not in tuple(VadMode):
        raise _unknown("session.vad", name, tuple(VadMode))
    return VadMode(name)


def _within(place: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise ParameterError(f"{place}: {value:g} is not from {low:g} to {high:g}", param=place)


def _unknown(place: str, value: str, allowed: Iterable[str]) -> ParameterError:
    return ParameterError(
        f"{place} '{shown(value)}' is unknown; use {' or '.join(allowed)}", param=place
    )
