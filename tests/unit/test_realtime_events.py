"""Messages of realtime clients: what they become, what is wrong in them, what they may cost."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import ParameterError
from voxfleet.gateway.realtime_events import (
    Append,
    Clear,
    Commit,
    EventRefused,
    SessionUpdate,
    TranscriptionSessionUpdate,
    event_id_of,
    read_event,
)
from voxfleet.gateway.realtime_orders import read_flat_order, read_order

APPEND = '{"type": "input_audio_buffer.append", "audio": "%s"}'


@given(st.binary(max_size=200))
def test_sound_comes_through(sound: bytes) -> None:
    event = read_event(APPEND % base64.b64encode(sound).decode())
    assert isinstance(event, Append)
    assert event.audio == sound


def test_the_other_events() -> None:
    # what OpenAI has beside them is passed over
    assert isinstance(read_event('{"type": "input_audio_buffer.commit", "event_id": []}'), Commit)
    assert isinstance(read_event('{"type": "input_audio_buffer.clear", "x": 1}'), Clear)
    assert isinstance(read_event('{"type": "session.update", "session": {}}'), SessionUpdate)
    older = read_event('{"type": "transcription_session.update", "session": {"tools": []}}')
    assert isinstance(older, TranscriptionSessionUpdate)


@given(st.text(max_size=60) | st.from_regex(r'\{"type": ?.*\}', fullmatch=True))
def test_whatever_comes_is_an_event_or_a_refusal(text: str) -> None:
    event_id_of(text)
    try:
        read_event(text)
    except EventRefused as refusal:
        said = refusal.message
    else:
        return
    assert said.isprintable()


def test_a_message_says_who_it_is() -> None:
    assert event_id_of('{"event_id": "e1", "type": 7}') == "e1"
    assert event_id_of('{"event_id": "' + "x" * 500 + '"}') == "x" * 99 + "…"
    assert event_id_of('{"event_id": 7}') is event_id_of("nothing") is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 16_000_000,
        '{"type": "session.update", "session": ' + '{"audio": ' * 1_000_000,
        '{"type": "session.update", "session": {}, "x": [' + "1," * 8_000_000 + "1]}",
        "{" + '"k": [1,2,3], ' * 1_000_000 + '"type": "x"}',
        APPEND % ("A" * 15_999_999),
        APPEND % ("A" * 16_000_000),
        '"' + "\\u0041" * 2_000_000 + '"',
    ],
    ids=["deep", "deeper", "long", "keys", "unpadded", "too much", "escapes"],
)
def test_nothing_costs_others_much(text: str) -> None:
    began_s = time.process_time()
    with pytest.raises(EventRefused):
        read_event(text)
    event_id_of(text)
    # a tenth of a second at most; ten times that where the machine is slow
    assert time.process_time() - began_s < 1.0


def test_fifteen_megabytes_are_taken() -> None:
    event = read_event(APPEND % ("A" * (15 * 1024 * 1024)))
    assert isinstance(event, Append)
    assert len(event.audio) == 15 * 1024 * 1024 // 4 * 3


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"[]", "body"),
        (b"{", "body"),
        (b'{"session": 5}', "session"),
        (b'{"session": {"audio": 5}}', "session.audio"),
        (b'{"expires_after": {"seconds": 9}}', "expires_after.seconds"),
        (b'{"expires_after": {"seconds": 7201}}', "expires_after.seconds"),
        (b'{"expires_after": {"anchor": "never"}}', "expires_after.anchor"),
    ],
)
def test_orders_of_secrets_name_their_fault(body: bytes, place: str) -> None:
    with pytest.raises(ParameterError) as refused:
        read_order(body)
    assert refused.value.param == place


def test_orders_of_secrets() -> None:
    order = read_order(json.dumps({"expires_after": {"seconds": 60}}).encode())
    assert (order.lifetime_s, order.size_bytes) == (60, 34)
    assert read_order(b"").lifetime_s is None
    flat = read_flat_order(b'{"client_secret": {"expires_at": {"seconds": 30}}, "itn": true}')
    assert (flat.lifetime_s, flat.session.itn) == (30, True)
    with pytest.raises(ParameterError) as refused:
        read_flat_order(b'{"input_audio_format": 5}')
    assert refused.value.param == "session.input_audio_format"
