"""What realtime clients are told, held to OpenAI's own types, strictly, in both dialects."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.beta.realtime import RealtimeServerEvent as BetaServerEvent
from openai.types.beta.realtime import TranscriptionSession
from openai.types.realtime import ClientSecretCreateResponse, RealtimeServerEvent
from pydantic import TypeAdapter

from voxfleet.core import EngineInfo, Word
from voxfleet.gateway.realtime_dialects import Teller, flat_session_object, session_object
from voxfleet.gateway.realtime_settings import RealtimeSettings
from voxfleet.media.live_sound import SoundEncoding
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

INFO = EngineInfo("whisper-1", ("en",), 10, hotwords=True, word_times=True)
WORD = Word("hello", 0.5, 0.9, 0.5)
EVERY_EVENT: tuple[SessionEvent, ...] = (
    SpeechStarted(0, 0.5),
    PartialText(0, "hello"),
    SpeechStopped(0, 1.25),
    Committed(0, 0.2, 1.25),
    Completed(0, 0.2, 1.25, "hello", "en", (WORD,)),
    Cleared(),
    Committed(1, 2, 3),
    ItemFailed(1, "poison", "no"),
    NothingSaid(3, 13),
    Ending("too long"),
)
SETTINGS = (
    RealtimeSettings(),
    RealtimeSettings("whisper-1", SoundEncoding.ULAW, 8_000, detect=False, log_probs=True),
    RealtimeSettings(prompt="Mars", keywords=("a",), languages=("en",), idle_ms=5_000),
)
STRICT: dict[bool, TypeAdapter[Any]] = {
    False: TypeAdapter(RealtimeServerEvent),
    True: TypeAdapter(BetaServerEvent),
}


def told(teller: Teller, *events: SessionEvent) -> list[dict[str, object]]:
    return [message for event in events for message in teller.tell(event)]


@pytest.mark.parametrize("beta", [False, True])
@pytest.mark.parametrize("log_probs", [False, True])
def test_every_event_is_one_of_openais(beta: bool, log_probs: bool) -> None:
    teller = Teller("sess_1", beta=beta, log_probs=log_probs)
    messages = told(teller, *EVERY_EVENT)
    for settings in SETTINGS:
        messages.append(teller.session("created", settings, INFO, 1_800_000_000))
        messages.append(teller.session("updated", settings, INFO, 1_800_000_000))
    for message in messages:
        parsed = STRICT[beta].validate_python(message)
        assert parsed.type == message["type"]
    assert len({str(message["event_id"]) for message in messages}) == len(messages)


def test_items_follow_each_other() -> None:
    teller = Teller("sess_1")
    first, *_ = told(teller, Committed(0, 0, 1))
    # an utterance that was cleared away left its number behind
    second, added, done = told(teller, SpeechStarted(1, 2), Cleared(), Committed(2, 3, 4))[2:]
    assert first["previous_item_id"] is None
    assert second["previous_item_id"] == added["previous_item_id"] == first["item_id"]
    assert done["type"] == "conversation.item.done"
    (idle,) = told(teller, NothingSaid(4, 9.5))
    assert (idle["audio_start_ms"], idle["audio_end_ms"]) == (4000, 9500)
    (started,) = told(teller, SpeechStarted(3, 10))
    assert started["item_id"] == idle["item_id"] != second["item_id"]


def test_log_probabilities_only_where_they_were_asked_for() -> None:
    (plain,) = told(Teller("sess_1"), EVERY_EVENT[4])
    (sure,) = told(Teller("sess_1", log_probs=True), EVERY_EVENT[4])
    assert "logprobs" not in plain
    assert sure["logprobs"] == [{"token": "hello", "logprob": -0.693147, "bytes": list(b"hello")}]
    assert sure["languages"] == [{"code": "en"}]
    assert sure["usage"] == {"type": "duration", "seconds": 1.05}


@pytest.mark.parametrize("settings", SETTINGS)
def test_secrets_are_answered_as_openai_does(settings: RealtimeSettings) -> None:
    told = session_object("sess_1", settings, INFO, None)
    answer = {"value": "ek_1", "expires_at": 1_800_000_000, "session": told}
    assert ClientSecretCreateResponse.model_validate(answer).session.type == "transcription"
    flat = flat_session_object("sess_1", settings, INFO, 1_800_000_000, "ek_1")
    assert TranscriptionSession.model_validate(flat).client_secret.value == "ek_1"


def test_what_cannot_be_had_is_told() -> None:
    plain = EngineInfo("plain", ("en",), 10)
    wishes = RealtimeSettings(log_probs=True, keywords=("a",), noise_reduction=True)
    notes = session_object("sess_1", wishes, plain, None)["warnings"]
    assert isinstance(notes, list)
    assert [note.split(":")[0] for note in notes] == ["include", "keywords", "noise_reduction"]
    assert "warnings" not in session_object("sess_1", RealtimeSettings(), plain, None)
