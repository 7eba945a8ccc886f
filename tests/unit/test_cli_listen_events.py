"""What `voxfleet listen` makes of a server's events, and what it asks for."""

from __future__ import annotations

import base64
import json

import pytest

from voxfleet.cli_listen_events import (
    LAST_COMMIT,
    NOTHING_LEFT,
    SETUP,
    Conversation,
    ErrorBody,
    Finished,
    Order,
    ServerEvent,
    Trouble,
    read_event,
    setup_message,
    sound_message,
)
from voxfleet.core import VadMode
from voxfleet.errors import ModelNotFoundError, ParameterError, VoxfleetError

TOLD = "conversation.item.input_audio_transcription"
COMMITTED = "input_audio_buffer.committed"


def refused(event_id: str | None, code: str = "input_audio_buffer_commit_empty") -> ServerEvent:
    return ServerEvent("error", error=ErrorBody("why", code, event_id))


def set_up() -> Conversation:
    conversation = Conversation()
    conversation.take(ServerEvent("session.updated"))
    return conversation


def delta(item: str, text: str) -> ServerEvent:
    return ServerEvent(f"{TOLD}.delta", item, delta=text)


def completed(item: str, text: str) -> ServerEvent:
    return ServerEvent(f"{TOLD}.completed", item, transcript=text)


def test_texts_grow_side_by_side_until_each_is_finished() -> None:
    conversation = set_up()
    for event in (delta("a", "one"), delta("b", "three"), delta("a", " two")):
        assert conversation.take(event) is None
    assert conversation.growing == ["one two", "three"]
    assert conversation.take(completed("a", "One two.")) == Finished("One two.")
    assert conversation.growing == ["three"]


def test_it_is_over_when_nothing_is_left_and_every_utterance_has_ended() -> None:
    conversation = set_up()
    conversation.take(ServerEvent(COMMITTED, "of silence"))
    conversation.take(ServerEvent(COMMITTED, "of the last commit"))
    assert conversation.take(refused(NOTHING_LEFT)) is None
    assert not conversation.is_over
    conversation.take(completed("of silence", "one"))
    assert not conversation.is_over
    conversation.take(ServerEvent(f"{TOLD}.failed", "of the last commit"))
    assert conversation.is_over


def test_a_last_commit_of_nothing_is_no_trouble() -> None:
    conversation = set_up()
    assert conversation.take(refused(LAST_COMMIT)) is None
    assert not conversation.is_over
    assert conversation.take(refused(NOTHING_LEFT)) is None
    assert conversation.is_over


def test_it_is_not_over_between_utterances() -> None:
    conversation = set_up()
    conversation.take(ServerEvent(COMMITTED, "a"))
    conversation.take(completed("a", "one"))
    assert not conversation.is_over


@pytest.mark.parametrize("answer", [ServerEvent(COMMITTED, "b"), refused(LAST_COMMIT)])
def test_the_last_commit_is_answered_by_an_utterance_or_a_refusal(answer: ServerEvent) -> None:
    conversation = set_up()
    conversation.take(ServerEvent(COMMITTED, "a"))
    assert not conversation.last_commit_answered
    conversation.last_commit_sent = True
    conversation.take(completed("a", "one"))
    assert not conversation.last_commit_answered
    conversation.take(answer)
    assert conversation.last_commit_answered


@pytest.mark.parametrize("code", ["invalid_value", "input_audio_buffer_commit_empty"])
def test_other_errors_are_trouble_and_the_session_goes_on(code: str) -> None:
    assert set_up().take(refused(None, code)) == Trouble("why")


def test_a_last_commit_that_fails_otherwise_is_trouble() -> None:
    assert set_up().take(refused(LAST_COMMIT, "invalid_state")) == Trouble("why")


@pytest.mark.parametrize(
    ("code", "kind"), [("invalid_value", ParameterError), ("model_not_found", ModelNotFoundError)]
)
def test_a_session_that_cannot_be_had_is_an_error_of_its_kind(
    code: str, kind: type[VoxfleetError]
) -> None:
    with pytest.raises(kind, match="why"):
        Conversation().take(refused(SETUP, code))


def test_a_failed_utterance_says_why() -> None:
    failed = ServerEvent(f"{TOLD}.failed", "a", error=ErrorBody("the worker broke"))
    assert set_up().take(failed) == Trouble("an utterance has no text: the worker broke")


def test_unknown_events_and_fields_are_passed_over() -> None:
    event = read_event('{"type": "rate_limits.updated", "rate_limits": [1], "item_id": "x"}')
    conversation = set_up()
    assert conversation.take(event) is None
    assert (list(conversation.growing), conversation.is_over) == ([], False)


@pytest.mark.parametrize(
    "message", ["hello", "[]", "{}", '{"type": 3}', '{"type":"delta","delta":[]}']
)
def test_what_is_no_event_is_an_error(message: str) -> None:
    with pytest.raises(VoxfleetError, match="no realtime event"):
        read_event(message)


def test_only_what_was_wished_is_asked_for() -> None:
    plain = json.loads(setup_message(Order()))
    assert plain["event_id"] == SETUP
    assert plain["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 16_000}
    assert plain["session"]["audio"]["input"]["transcription"] == {}
    assert "vad" not in plain["session"]
    full = json.loads(setup_message(Order("zh", ("阿里", "x y"), VadMode.ENERGY)))["session"]
    wanted = {"language": "zh", "keywords": ["阿里", "x y"]}
    assert full["audio"]["input"]["transcription"] == wanted
    assert full["vad"] == "energy"


def test_sound_is_an_append_in_base64() -> None:
    message = json.loads(sound_message(b"\x00\xff\x10"))
    assert message.pop("audio") == base64.b64encode(b"\x00\xff\x10").decode()
    assert message == {"type": "input_audio_buffer.append"}
