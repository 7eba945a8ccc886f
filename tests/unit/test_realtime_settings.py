"""A realtime session's settings: changed in either dialect, bounded, and what they ask for."""

from __future__ import annotations

import msgspec
import pytest

from voxfleet.core import EngineInfo, VadMode
from voxfleet.errors import NotFoundError, ParameterError
from voxfleet.gateway.form_fields import FormFields
from voxfleet.gateway.realtime_events import SessionPatch
from voxfleet.gateway.realtime_options import session_options
from voxfleet.gateway.realtime_settings import RealtimeSettings, changed, read_query
from voxfleet.media.live_sound import SoundEncoding
from voxfleet.transcribe.hotword_text import WITHOUT_LISTS

INFO = EngineInfo("main", ("en", "zh"), 10, hotwords=True)
DEFAULT = RealtimeSettings()
INPUT = "session.audio.input"


class Shelf:
    def words(self, list_name: str) -> tuple[str, ...]:
        if list_name != "names":
            raise NotFoundError("no such list")
        return ("Zyn", "Acme")


def patched(settings: RealtimeSettings = DEFAULT, /, **session: object) -> RealtimeSettings:
    return changed(settings, msgspec.convert(session, SessionPatch), VadMode.ENERGY)


def patched_input(settings: RealtimeSettings = DEFAULT, /, **sound: object) -> RealtimeSettings:
    return patched(settings, audio={"input": sound})


@pytest.mark.parametrize(
    ("wanted", "encoding", "rate_hz"),
    [
        ({"type": "audio/pcm", "rate": 24_000}, SoundEncoding.PCM16, 24_000),
        ({"type": "audio/pcm", "rate": 16_000}, SoundEncoding.PCM16, 16_000),
        ({"type": "audio/pcm"}, SoundEncoding.PCM16, 24_000),
        ({"rate": 16_000}, SoundEncoding.PCM16, 16_000),
        ({"type": "audio/pcmu"}, SoundEncoding.ULAW, 8_000),
        ({"type": "audio/pcma", "rate": 8_000}, SoundEncoding.ALAW, 8_000),
    ],
)
def test_formats(wanted: object, encoding: SoundEncoding, rate_hz: int) -> None:
    settings = patched_input(format=wanted)
    assert (settings.encoding, settings.rate_hz) == (encoding, rate_hz)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("pcm16", SoundEncoding.PCM16),
        ("g711_ulaw", SoundEncoding.ULAW),
        ("g711_alaw", SoundEncoding.ALAW),
    ],
)
def test_formats_of_the_older_dialect(name: str, encoding: SoundEncoding) -> None:
    assert patched(input_audio_format=name).encoding is encoding


@pytest.mark.parametrize(
    ("session", "place", "says"),
    [
        ({"type": "realtime"}, "session.type", "transcription"),
        ({"input_audio_format": "opus"}, "session.input_audio_format", "pcm16 or g711_ulaw"),
        ({"include": ["thoughts"]}, "session.include", "logprobs"),
        ({"vad": "loud"}, "session.vad", "silero"),
        (
            {"turn_detection": {"type": "semantic_vad"}},
            f"{INPUT}.turn_detection.type",
            "server_vad",
        ),
    ],
)
def test_what_nobody_understands_is_named(
    session: dict[str, object], place: str, says: str
) -> None:
    with pytest.raises(ParameterError, match=says) as refused:
        patched(DEFAULT, **session)
    assert refused.value.param == place


@pytest.mark.parametrize(
    ("sound", "place"),
    [
        ({"format": {"type": "audio/pcm", "rate": 8_000}}, "format.rate"),
        ({"format": {"type": "audio/pcmu", "rate": 16_000}}, "format.rate"),
        ({"format": {"type": "audio/ogg"}}, "format.type"),
        ({"turn_detection": {"type": "telepathy"}}, "turn_detection.type"),
        ({"turn_detection": {"threshold": 1.5}}, "turn_detection.threshold"),
        ({"turn_detection": {"prefix_padding_ms": -1}}, "turn_detection.prefix_padding_ms"),
        ({"turn_detection": {"silence_duration_ms": 99}}, "turn_detection.silence_duration_ms"),
        ({"turn_detection": {"silence_duration_ms": 10**30}}, "turn_detection.silence_duration_ms"),
        ({"turn_detection": {"idle_timeout_ms": 1}}, "turn_detection.idle_timeout_ms"),
    ],
)
def test_bounds(sound: dict[str, object], place: str) -> None:
    with pytest.raises(ParameterError) as refused:
        patched_input(DEFAULT, **sound)
    assert refused.value.param == f"{INPUT}.{place}"


def test_a_change_changes_nothing_else_and_null_is_the_default() -> None:
    settings = patched(
        include=["item.input_audio_transcription.logprobs"],
        vad="silero",
        itn=True,
        punctuate=False,
        audio={
            "input": {
                "transcription": {"model": "m", "language": "en", "keywords": ["a"], "prompt": "b"},
                "turn_detection": {"type": "server_vad", "threshold": 0.7, "idle_timeout_ms": 6000},
                "noise_reduction": {"type": "far_field"},
            }
        },
    )
    assert patched(settings) == settings
    silence = patched_input(settings, turn_detection={"silence_duration_ms": 900})
    assert (silence.threshold, silence.silence_ms, silence.idle_ms) == (0.7, 900, 6000)
    assert silence.keywords == ("a",)
    off = patched_input(settings, turn_detection=None)
    assert not off.detect
    assert patched_input(off, turn_detection={"type": "server_vad"}) == settings
    plain = patched_input(settings, transcription=None, noise_reduction=None)
    assert (plain.model, plain.language, plain.keywords, plain.prompt) == (None, None, (), "")
    assert patched(plain, include=None, vad=None, itn=None, punctuate=None).vad is VadMode.ENERGY


def test_what_is_asked_of_the_service() -> None:
    settings = patched_input(
        transcription={
            "languages": ["english", "en"],
            "keywords": ["@names", "New York"],
            "hotwords": "Mars Venus",
            "prompt": "Digique. This is far too long to be anybody's name, so it is none.",
        },
        turn_detection={"silence_duration_ms": 250, "prefix_padding_ms": 0},
    )
    options = session_options(settings, INFO, Shelf(), "key:1")
    assert (options.model, options.client) == ("main", "key:1")
    assert options.recognition.language == "en"
    assert set(options.recognition.hotwords) >= {
        "Zyn",
        "Acme",
        "New York",
        "Mars",
        "Venus",
        "Digique",
    }
    assert (options.turns.silence_s, options.turns.prefix_s, options.turns.idle_s) == (
        0.25,
        0,
        None,
    )


@pytest.mark.parametrize(
    ("transcription", "place"),
    [
        ({"language": "tlh"}, "language"),
        ({"languages": ["en", "tlh"]}, "languages"),
        ({"keywords": ["@none"]}, "keywords"),
        ({"keywords": ["x" * 51]}, "keywords"),
        ({"hotwords": [f"w{n}" for n in range(1001)]}, "hotwords"),
        ({"keywords": [f"@l{n}" for n in range(21)]}, "keywords"),
    ],
)
def test_what_the_service_cannot_do_is_named(transcription: dict[str, object], place: str) -> None:
    settings = patched_input(transcription=transcription)
    with pytest.raises(ParameterError) as refused:
        session_options(settings, INFO, Shelf(), "")
    assert refused.value.param == f"{INPUT}.transcription.{place}"


def test_the_address_goes_over_what_was_there() -> None:
    first = RealtimeSettings(language="en", hotwords=("a",), vad=VadMode.OFF)
    fields = FormFields([("model", "x"), ("hotwords", "b,c")])
    read = read_query(fields, first)
    assert (read.model, read.language, read.hotwords) == ("x", "en", ("b", "c"))
    assert read.vad is VadMode.OFF
    assert session_options(DEFAULT, INFO, WITHOUT_LISTS, "").turns.silence_s == 0.5


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gpt-4o-realtime-preview", None),
        ("gpt-realtime", None),
        ("gpt-realtime-mini-2025-12-15", None),
        ("gpt-4o-mini-realtime-preview", None),
        ("gpt-realtime-whisper", "gpt-realtime-whisper"),
        ("gpt-4o-transcribe", "gpt-4o-transcribe"),
        ("main", "main"),
    ],
)
def test_models_that_converse_mean_the_default(name: str, kept: str | None) -> None:
    assert read_query(FormFields([("model", name)]), DEFAULT).model == kept
