"""What a realtime session's settings ask of the service, and what of them cannot be had. Pure."""

from __future__ import annotations

from voxfleet.core import EngineInfo, RecognitionOptions, TextOptions
from voxfleet.gateway.form_fields import Phrases, split_prompt
from voxfleet.gateway.realtime_settings import RealtimeSettings
from voxfleet.media.live_sound import LiveOptions
from voxfleet.transcribe.hotword_text import (
    HotwordLists,
    expanded,
    refuse_many_lists,
    within_limits,
)
from voxfleet.transcribe.language import known_language
from voxfleet.transcribe.session_contract import SessionOptions, TurnOptions

_TRANSCRIPTION = "session.audio.input.transcription"


def session_options(
    settings: RealtimeSettings, info: EngineInfo, lists: HotwordLists, client: str
) -> SessionOptions:
    """Raises ParameterError: for a language that the model has not, or a list that nobody keeps."""
    return SessionOptions(
        model=info.model,
        client=client,
        sound=LiveOptions(
            settings.encoding, settings.rate_hz, settings.vad, threshold=settings.threshold
        ),
        turns=TurnOptions(
            detect=settings.detect,
            silence_s=settings.silence_ms / 1000,
            prefix_s=settings.prefix_ms / 1000,
            idle_s=None if settings.idle_ms is None else settings.idle_ms / 1000,
        ),
        recognition=RecognitionOptions(
            language=_language(settings, info),
            hotwords=_hotwords(settings, info, lists),
            word_times=settings.log_probs and info.word_times,
        ),
        text=TextOptions(punctuate=settings.punctuate, itn=settings.itn),
    )


def _language(settings: RealtimeSettings, info: EngineInfo) -> str | None:
    """The one language asked for; several are left to detection."""
    place = f"{_TRANSCRIPTION}.language"
    if settings.language is not None:
        return known_language(place, settings.language, info)
    codes = {known_language(f"{place}s", name, info) for name in settings.languages}
    return codes.pop() if len(codes) == 1 else None


def _hotwords(settings: RealtimeSettings, info: EngineInfo, lists: HotwordLists) -> tuple[str, ...]:
    written = settings.keywords + settings.hotwords
    # both are one list to the model
    refuse_many_lists(written, f"{_TRANSCRIPTION}.keywords")
    explicit = (
        *expanded(settings.hotwords, lists, f"{_TRANSCRIPTION}.hotwords"),
        *expanded(settings.keywords, lists, f"{_TRANSCRIPTION}.keywords"),
    )
    within_limits(tuple(dict.fromkeys(explicit)), f"{_TRANSCRIPTION}.keywords")
    hinted = split_prompt(settings.prompt) if info.hotwords else ()
    return Phrases(explicit, hinted).all


def missing(settings: RealtimeSettings, info: EngineInfo) -> tuple[str, ...]:
    """Told rather than silently dropped."""
    notes = []
    if settings.log_probs and not info.word_times:
        notes.append(
            f"include: no log probabilities, as the model {info.model} does not tell its words"
        )
    if not info.hotwords and (settings.prompt or settings.keywords or settings.hotwords):
        notes.append(f"keywords: not used, as the model {info.model} takes no hotwords")
    if settings.noise_reduction:
        notes.append("noise_reduction: not used, as the models hear sound as it is")
    return tuple(notes)
