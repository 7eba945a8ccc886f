"""`/v1/realtime` on a real socket: both dialects, settings, sound, faults and ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.realtime_rig import live, realtime_app, talking, until_closed
from tests.integration.standin_service import StandInService
from voxfleet.core import VadMode, Word
from voxfleet.errors import EmptyAudioError, EngineFaultError, VoxfleetError
from voxfleet.media.live_sound import SoundEncoding
from voxfleet.transcribe.session_contract import (
    Committed,
    Completed,
    ItemFailed,
    PartialText,
    SpeechStarted,
    SpeechStopped,
)

UTTERANCE = (
    SpeechStarted(0, 0.25),
    PartialText(0, "hello"),
    SpeechStopped(0, 1.5),
    Committed(0, 0.2, 1.5),
    Completed(0, 0.2, 1.5, "hello world", "en", (Word("hello", 0.3, 0.5, 0.9),)),
)


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
async def address(service: StandInService) -> AsyncIterator[str]:
    async with live(realtime_app(service)) as made:
        yield made


async def test_an_utterance_from_its_sound_to_its_text(
    service: StandInService, address: str
) -> None:
    async with talking(address) as client:
        created = await client.next()
        assert created["type"] == "session.created"
        session = service.sessions.opened[0]
        await client.append(b"\1\2\3")
        await client.append(b"\4")
        session.tell(*UTTERANCE)
        events = [await client.next() for _ in range(7)]
    assert session.sound == b"\1\2\3\4"
    assert [event["type"] for event in events] == [
        "input_audio_buffer.speech_started",
        "conversation.item.input_audio_transcription.delta",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert (events[0]["audio_start_ms"], events[2]["audio_end_ms"]) == (250, 1500)
    assert events[6]["transcript"] == "hello world"
    assert events[6]["usage"] == {"type": "duration", "seconds": 1.3}
    assert "logprobs" not in events[6]
    assert len({event["item_id"] for event in events if "item_id" in event}) == 1
    await until_closed(session)


async def test_settings_reach_the_session_and_come_back(
    service: StandInService, address: str
) -> None:
    async with talking(
        address, "model=m&language=en&hotwords=Acme,New%20York&vad=energy"
    ) as client:
        await client.next()
        options = service.sessions.opened[0].options
        assert (options.model, options.sound.vad) == ("main", VadMode.ENERGY)
        assert options.recognition.hotwords == ("Acme", "New York")
        updated = await client.update(
            type="transcription",
            include=["item.input_audio_transcription.logprobs"],
            audio={
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "noise_reduction": {"type": "near_field"},
                    "transcription": {"keywords": ["Zyn"], "language": "zh", "delay": "low"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 700},
                }
            },
        )
        assert updated["type"] == "session.updated"
        options = service.sessions.opened[0].options
        assert (options.sound.encoding, options.sound.sample_rate_hz) == (SoundEncoding.ULAW, 8000)
        assert (options.turns.silence_s, options.turns.prefix_s) == (0.7, 0.3)
        assert options.recognition.language == "zh"
        assert set(options.recognition.hotwords) == {"Acme", "New York", "Zyn"}
        assert options.recognition.word_times
        session = updated["session"]
        assert isinstance(session, dict)
        assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        assert [note.split(":")[0] for note in session["warnings"]] == ["noise_reduction"]
        service.sessions.opened[0].tell(*UTTERANCE[3:])
        events = [await client.next() for _ in range(4)]
        assert [entry["token"] for entry in events[-1]["logprobs"]] == ["hello"]  # type: ignore[attr-defined]


async def test_null_is_no_turn_detection_and_a_commit_ends_one(
    service: StandInService, address: str
) -> None:
    service.sessions.on_commit = [Committed(0, 0, 1), Completed(0, 0, 1, "done")]
    async with talking(address) as client:
        await client.next()
        await client.update(audio={"input": {"turn_detection": None}})
        assert not service.sessions.opened[0].options.turns.detect
        await client.send("input_audio_buffer.clear")
        await client.send("input_audio_buffer.commit")
        assert (await client.next())["type"] == "input_audio_buffer.committed"
        assert service.sessions.opened[0].orders == ["change", "clear", "commit"]


async def test_the_older_dialect(service: StandInService, address: str) -> None:
    async with talking(address, headers={"OpenAI-Beta": "realtime=v1"}) as client:
        created = await client.next()
        assert created["type"] == "session.created"
        assert created["session"]["input_audio_format"] == "pcm16"  # type: ignore[index]
        await client.send(
            "transcription_session.update",
            session={
                "input_audio_format": "g711_alaw",
                "input_audio_transcription": {"model": "whisper-1", "prompt": "Mars"},
                "turn_detection": {"type": "server_vad", "threshold": 0.7},
            },
        )
        updated = await client.next()
        assert updated["type"] == "transcription_session.updated"
        options = service.sessions.opened[0].options
        assert (options.sound.encoding, options.sound.threshold) == (SoundEncoding.ALAW, 0.7)
        assert options.recognition.hotwords == ("Mars",)
        service.sessions.opened[0].tell(Committed(0, 0, 1))
        kinds = [(await client.next())["type"] for _ in range(2)]
        assert kinds == ["input_audio_buffer.committed", "conversation.item.created"]


async def test_the_first_update_chooses_the_dialect(service: StandInService, address: str) -> None:
    async with talking(address) as client:
        assert (await client.next())["type"] == "session.created"
        await client.send("transcription_session.update", session={})
        assert (await client.next())["type"] == "transcription_session.updated"


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_payload", None),
        ("[1]", "invalid_payload", None),
        (b"\0\1", "invalid_payload", None),
        ('{"type": 5}', "invalid_payload", "type"),
        ('{"type": "nonsense"}', "unknown_event", "type"),
        ('{"type": "response.create"}', "not_supported", "type"),
        ('{"type": "conversation.item.create", "item": {}}', "not_supported", "type"),
        ('{"type": "input_audio_buffer.append"}', "invalid_payload", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "AAA"}', "invalid_audio", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": 7}', "invalid_value", "audio"),
        ('{"type": "session.update"}', "invalid_payload", "session"),
        (
            '{"type": "session.update", "session": {"type": "realtime"}}',
            "invalid_value",
            "session.type",
        ),
    ],
)
async def test_bad_input_is_an_error_and_the_session_goes_on(
    service: StandInService, address: str, message: str | bytes, code: str, param: str | None
) -> None:
    async with talking(address) as client:
        await client.next()
        await client.socket.send(message)
        error = await client.error()
        assert (error["code"], error["param"]) == (code, param)
        assert error["type"] == "invalid_request_error"
        await client.append(b"\0\1")
        await client.send("input_audio_buffer.nothing", event_id="mine")
        assert (await client.error())["event_id"] == "mine"
        assert service.sessions.opened[0].sound == b"\0\1"


async def test_faults_of_the_session_are_told(service: StandInService, address: str) -> None:
    async with talking(address) as client:
        await client.next()
        session = service.sessions.opened[0]
        session.fault = EmptyAudioError("nothing was said")
        await client.send("input_audio_buffer.commit", event_id="e1")
        error = await client.error()
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "e1")
        session.fault = VoxfleetError("secret of the inside")
        await client.append(b"\0\0")
        error = await client.error()
        assert (error["type"], error["code"]) == ("server_error", "internal_error")
        assert "secret" not in str(error["message"])
        session.fault = EngineFaultError("out of memory")
        await client.append(b"\0\0")
        assert (await client.error())["message"] == "out of memory"
        session.tell(Committed(0, 0, 1), ItemFailed(0, "worker_lost", "the worker died"))
        failed = [await client.next() for _ in range(4)][-1]
        assert failed["type"] == "conversation.item.input_audio_transcription.failed"
        assert failed["error"] == {
            "type": "server_error",
            "code": "worker_lost",
            "message": "the worker died",
            "param": None,
        }


async def test_the_format_cannot_change_once_there_was_sound(
    service: StandInService, address: str
) -> None:
    async with talking(address) as client:
        await client.next()
        await client.append(b"\0\0")
        await client.send(
            "session.update", session={"audio": {"input": {"format": {"type": "audio/pcma"}}}}
        )
        assert (await client.error())["code"] == "invalid_state"
        updated = await client.update(audio={"input": {"turn_detection": None}})
        assert updated["type"] == "session.updated"
        other = {"audio": {"input": {"transcription": {"model": "org/plain"}}}}
        await client.send("session.update", session=other)
        assert "/v1/realtime?model=org/plain" in str((await client.error())["message"])
        alias = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
        assert (await client.update(**alias))["type"] == "session.updated"


async def test_faults_in_a_row_end_it(service: StandInService, address: str) -> None:
    async with talking(address) as client:
        await client.next()
        for _ in range(20):
            await client.socket.send("?")
        await client.append(b"\0\0")
        for _ in range(21):
            await client.socket.send("?")
        for _ in range(41):
            await client.error()
        assert (await client.closed())[0] == 1008
    await until_closed(service.sessions.opened[0])
