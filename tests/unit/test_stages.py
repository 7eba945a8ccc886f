"""Stages that are timed: whole, in stretches, and when they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from voxfleet.core import Transcript, Transcription
from voxfleet.observe.request_record import RequestRecord, current_request
from voxfleet.observe.request_watch import RequestWatch
from voxfleet.observe.stages import UNOBSERVED, Stage, Stages


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Told:
    def __init__(self) -> None:
        self.stages: list[tuple[Stage, float]] = []
        self.sound: list[tuple[str, float]] = []

    def stage_took(self, stage: Stage, took_s: float) -> None:
        self.stages.append((stage, took_s))

    def sound_answered(self, model: str, audio_s: float) -> None:
        self.sound.append((model, audio_s))


class Decoder:
    """Three items, each a second's work; then it may fail."""

    def __init__(self, clock: Clock, fails: bool = False) -> None:
        self.clock = clock
        self.fails = fails

    async def info(self) -> str:
        self.clock.now_s += 0.5
        return "wav"

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in range(3):
            self.clock.now_s += 1.0
            yield number
        if self.fails:
            raise ValueError("corrupt")


@pytest.mark.parametrize("fails", [False, True])
async def test_only_what_is_awaited_through_a_sum_counts(fails: bool) -> None:
    clock, told = Clock(), Told()
    stages, decoder, taken = Stages(told, clock), Decoder(clock, fails), list[int]()

    async def follow() -> None:
        with stages.summed(Stage.DECODE) as decode:
            assert await decode.during(decoder.info()) == "wav"
            async for number in decode.each(decoder):
                taken.append(number)
                # what is done with an item is another matter
                clock.now_s += 10.0

    if fails:
        with pytest.raises(ValueError, match="corrupt"):
            await follow()
    else:
        await follow()
    assert taken == [0, 1, 2]
    assert told.stages == [(Stage.DECODE, 3.5)]


async def test_a_sum_ended_when_its_last_stretch_did() -> None:
    spans: list[tuple[str, float, float]] = []

    class Span:
        def child(self, name: str, took_s: float, ended_ago_s: float) -> None:
            spans.append((name, took_s, ended_ago_s))

        def end(self, name: str, facts: object, *, failed: bool) -> None: ...

    clock = Clock()
    token = current_request.set(RequestRecord("r", Span()))
    try:
        with Stages(clock=clock).summed(Stage.DECODE) as decode:
            await decode.during(Decoder(clock).info())
            clock.now_s += 2.0
    finally:
        current_request.reset(token)
    assert spans == [("decode", 0.5, 2.0)]


def test_what_a_request_came_to_is_noted_in_its_record() -> None:
    told, record = Told(), RequestRecord("r")
    token = current_request.set(record)
    try:
        Stages(told).answered("fake", 2.5)
    finally:
        current_request.reset(token)
    assert (told.sound, record.model, record.audio_s) == ([("fake", 2.5)], "fake", 2.5)


def test_without_a_meter_and_a_request_nothing_is_told() -> None:
    with UNOBSERVED.timed(Stage.STITCH):
        UNOBSERVED.answered("fake", 1.0)


@pytest.mark.parametrize("wanted", [False, True])
def test_texts_are_logged_only_where_they_are_asked_for(
    wanted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    told = Told()
    texts = [Transcript(text, "en", 2.5) for text in ("two\nlines", "right")]
    RequestWatch(Stages(told), wanted).answered(Transcription("fake", 2.5, tuple(texts)), 0.5)
    assert told.sound == [("fake", 2.5)]
    first, *rest = [record.getMessage() for record in caplog.records]
    assert first == "2.5 s of sound in 0.50 s"
    assert rest == ([r"text: 'two\nlines'", "text: 'right'"] if wanted else [])
