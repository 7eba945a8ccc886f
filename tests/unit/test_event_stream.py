"""Events on the wire: their frames, their head, and the comments between them."""

from __future__ import annotations

import asyncio
import json

import pytest
from openai._streaming import SSEDecoder
from starlette.types import Message

from voxfleet.gateway.event_stream import KEEP_ALIVE, KEEP_ALIVE_S, EventStream, frame


class Wire:
    """Takes messages; from the moment it is full it takes no more."""

    def __init__(self, room: int = 100) -> None:
        self.messages: list[Message] = []
        self.room = room
        self.full = asyncio.Event()

    async def send(self, message: Message) -> None:
        if len(self.messages) >= self.room:
            self.full.set()
            await asyncio.Event().wait()
        self.messages.append(message)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages[1:]]


@pytest.mark.parametrize("text", ["a", "你好", "two\nlines\r\n", "\x85 \u2028 \u2029", '"\\'])
def test_a_frame_is_one_line_whatever_it_says(text: str) -> None:
    sent = frame({"text": text})
    assert sent.startswith(b"data: ")
    assert sent.endswith(b"\n\n")
    lines = sent.decode().splitlines()
    assert lines[1:] == [""]
    assert json.loads(lines[0].removeprefix("data: ")) == {"text": text}


def test_readers_pass_over_the_comments() -> None:
    sent = [KEEP_ALIVE, frame({"a": 1}), KEEP_ALIVE, KEEP_ALIVE, frame({"a": 2})]
    heard = [event.json() for event in SSEDecoder().iter_bytes(iter(sent))]
    assert heard == [{"a": 1}, {"a": 2}]


async def test_the_head_goes_out_with_the_first_event() -> None:
    wire = Wire()
    events = EventStream(wire.send, {"x-more": "yes"}, KEEP_ALIVE_S)
    assert (events.started, wire.messages) == (False, [])
    await events.say({"a": 1})
    await events.end()
    head, first, end = wire.messages
    assert (events.started, head["status"]) == (True, 200)
    assert dict(head["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
        b"x-more": b"yes",
    }
    assert (first["body"], first["more_body"]) == (frame({"a": 1}), True)
    assert (end["body"], end["more_body"]) == (b"", False)


async def test_what_is_a_frame_already_is_passed_on_as_it_is() -> None:
    wire = Wire()
    events = EventStream(wire.send, {}, KEEP_ALIVE_S)
    await events.pass_on(frame({"a": 1}))
    assert wire.bodies == [frame({"a": 1})]


async def test_a_pause_is_filled_and_begins_the_answer_where_nothing_has() -> None:
    wire = Wire(room=3)
    events = EventStream(wire.send, {}, keep_alive_s=0.0)
    async with events.kept_alive():
        await wire.full.wait()
    assert (events.started, wire.bodies) == (True, [KEEP_ALIVE, KEEP_ALIVE])


async def test_no_comment_goes_out_while_events_come() -> None:
    wire = Wire()
    events = EventStream(wire.send, {}, KEEP_ALIVE_S)
    async with events.kept_alive():
        await asyncio.sleep(0)
        await events.say({})
        await asyncio.sleep(0)
    assert wire.bodies == [frame({})]


async def test_nothing_is_sent_in_the_middle_of_something_else() -> None:
    wire = Wire(room=1)
    events = EventStream(wire.send, {}, KEEP_ALIVE_S)
    first = asyncio.create_task(events.say({"a": 1}))
    await wire.full.wait()
    second = asyncio.create_task(events.say({"a": 2}))
    await asyncio.sleep(0)
    wire.room = 100
    first.cancel()
    await asyncio.wait({first, second})
    # the head of the first was out: the second adds none
    assert [message["type"] for message in wire.messages] == [
        "http.response.start",
        "http.response.body",
    ]
    assert wire.bodies == [frame({"a": 2})]
