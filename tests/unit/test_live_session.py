"""A session at work: what was heard is read and told, and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.hand_ears import SessionRig, session_rig, spoken, turns
from voxfleet.core import Batch, RecognitionOptions, VadMode
from voxfleet.errors import (
    AudioError,
    EmptyAudioError,
    EngineFaultError,
    NotFoundError,
    NotReadyError,
    OverloadError,
    ParameterError,
)
from voxfleet.media.live_sound import LiveOptions
from voxfleet.pool_contract import BatchResult
from voxfleet.transcribe.live_session import LiveSession
from voxfleet.transcribe.session_contract import (
    Committed,
    Completed,
    Ending,
    ItemFailed,
    PartialText,
    SessionOptions,
    SpeechStarted,
    SpeechStopped,
)
from voxfleet.transcribe.session_desk import SessionLimits

SECOND = bytes(32_000)


async def say_two_seconds(rig: SessionRig, session: LiveSession) -> None:
    """Speech from 1 s to 3 s, told as it is spoken, and a second of silence."""
    await session.feed(SECOND)
    for position in (1.5, 2.0, 2.5, 3.0):
        rig.ears.tell(position, open_s=1.0)
        await turns()
    rig.ears.tell(4.0, (1.0, 3.0))
    await turns()


async def test_speech_is_told_in_order_and_leaves_no_file(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig:
        async with rig.desk.open(SessionOptions()) as session:
            await say_two_seconds(rig, session)
            events = await spoken(session)
        kinds = [type(event) for event in events if not isinstance(event, PartialText)]
        assert kinds == [SpeechStarted, SpeechStopped, Committed, Completed]
        (completed,) = [event for event in events if isinstance(event, Completed)]
        assert completed.text == "w1 w2 w3 w4 w5"
        assert completed.language == "en"
        deltas = "".join(event.text for event in events if isinstance(event, PartialText))
        assert deltas == completed.text
        assert rig.ears.closed
        assert rig.ears.files
        assert not any(path.exists() for path in rig.ears.files)


async def test_the_first_text_comes_while_there_is_still_speech(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig, rig.desk.open(SessionOptions()) as session:
        telling = asyncio.ensure_future(anext(_partials(session)))
        await session.feed(SECOND)
        for position in range(2, 40):
            rig.ears.tell(position / 4, open_s=0.25)
            await turns()
            # the pace of readings is by the clock
            await asyncio.sleep(0.01)
            if telling.done():
                break
        assert (await telling).startswith("w0")


async def _partials(session: LiveSession):  # type: ignore[no-untyped-def]
    async for event in session.events():
        if isinstance(event, PartialText):
            yield event.text


async def test_a_reading_that_fails_fails_its_utterance_only(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig, rig.desk.open(SessionOptions()) as session:
        good = rig.pool.answer

        def broken(batch: Batch) -> BatchResult:
            return BatchResult(tuple(EngineFaultError("broke") for _ in batch.segments), 0.1)

        rig.pool.answer = broken
        await say_two_seconds(rig, session)
        rig.pool.answer = good
        rig.ears.tell(6.0, (4.5, 5.5))
        await turns()
        events = await spoken(session)
        outcomes = [e for e in events if isinstance(e, Completed | ItemFailed)]
        assert isinstance(outcomes[0], ItemFailed)
        assert outcomes[0].code == "engine_fault"
        assert isinstance(outcomes[1], Completed)


async def test_a_fault_of_the_ears_ends_the_session_with_what_was_heard(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig, rig.desk.open(SessionOptions()) as session:
        await session.feed(SECOND)
        rig.ears.tell(4.0, (1.0, 3.0))
        rig.ears.break_down(NotReadyError("nobody hears"))
        events = [event async for event in session.events()]
        assert Ending("nobody hears", broken=True) in events
        assert isinstance(events[-1], Completed)
        assert events[-1].text == "w1 w2 w3 w4 w5"
        # its client may still say what it likes
        await session.feed(SECOND)
        await session.finish()


async def test_half_a_sample_is_told_and_costs_no_word(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig, rig.desk.open(SessionOptions()) as session:
        await session.feed(SECOND)
        rig.ears.tell(3.0, open_s=1.0)
        rig.ears.half = True
        with pytest.raises(AudioError, match="within a sample"):
            await session.commit()
        events = await spoken(session)
        assert isinstance(events[-1], Completed)


async def test_what_is_changed_later_is_for_later_utterances(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig, rig.desk.open(SessionOptions()) as session:
        await session.feed(SECOND)
        rig.ears.tell(3.0, open_s=1.0)
        await turns()
        session.change(replace(session.options, recognition=RecognitionOptions(language="en")))
        rig.ears.tell(4.0, (1.0, 3.0))
        await turns()
        languages = {options.language for options in rig.asked}
        assert languages == {None}


async def test_too_little_sound_is_no_utterance(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig, rig.desk.open(SessionOptions()) as session:
        with pytest.raises(EmptyAudioError):
            await session.commit()


async def test_sound_faster_than_it_is_heard_waits(tmp_path: Path) -> None:
    limits = SessionLimits(max_ahead_s=2.0)
    async with session_rig(tmp_path, limits) as rig, rig.desk.open(SessionOptions()) as session:
        # all at once, as some clients do
        waiting = asyncio.ensure_future(session.feed(SECOND * 10))
        await turns()
        assert not waiting.done()
        assert rig.ears.unheard_s == 3.0
        while not waiting.done():
            rig.ears.unheard_s = 1.0
            rig.ears.tell(2.0)
            await turns()
        await waiting


async def test_the_format_changes_before_the_first_sound_only(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig, rig.desk.open(SessionOptions()) as session:
        wide = replace(session.options, sound=LiveOptions(sample_rate_hz=24_000))
        session.change(wide)
        await session.feed(SECOND)
        assert rig.ears.options.sample_rate_hz == 24_000
        with pytest.raises(ParameterError, match="format"):
            session.change(SessionOptions())
        quiet = replace(wide, sound=replace(wide.sound, vad=VadMode.ENERGY))
        session.change(quiet)
        assert rig.ears.restarts == [(VadMode.ENERGY, 0.5)]
        with pytest.raises(ParameterError, match="language"):
            session.change(replace(quiet, recognition=RecognitionOptions(language="xx")))
        with pytest.raises(ParameterError, match="fsmn"):
            session.change(replace(quiet, sound=replace(quiet.sound, vad=VadMode.FSMN)))
        assert session.options == quiet


async def test_nothing_is_kept_of_utterances_that_have_ended(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig, rig.desk.open(SessionOptions()) as session:

        def broken(batch: Batch) -> BatchResult:
            return BatchResult(tuple(EngineFaultError("broke") for _ in batch.segments), 0.1)

        rig.pool.answer = broken
        await say_two_seconds(rig, session)
        await turns()
        assert session.items_kept
        events = await spoken(session)
        assert any(isinstance(event, ItemFailed) for event in events)
        assert not session.items_kept


# -- the desk -------------------------------------------------------------------------------------


async def test_one_more_than_there_may_be_is_refused(tmp_path: Path) -> None:
    async with session_rig(tmp_path, SessionLimits(max_sessions=1)) as rig:
        async with rig.desk.open(SessionOptions()):
            with pytest.raises(OverloadError, match="max_sessions"):
                async with rig.desk.open(SessionOptions()):
                    pass
        async with rig.desk.open(SessionOptions()) as session:
            assert session.model == "hand"


async def test_who_cannot_be_heard_gets_no_session_and_holds_no_place(tmp_path: Path) -> None:
    async with session_rig(tmp_path, SessionLimits(max_sessions=1)) as rig:
        rig.hearing.fault = NotReadyError("no process")
        with pytest.raises(NotReadyError, match="no process"):
            async with rig.desk.open(SessionOptions()):
                pass
        rig.hearing.fault = None
        with pytest.raises(ParameterError, match="fsmn"):
            async with rig.desk.open(SessionOptions(sound=LiveOptions(vad=VadMode.FSMN))):
                pass
        with pytest.raises(NotFoundError):
            async with rig.desk.open(SessionOptions(model="unknown")):
                pass
        async with rig.desk.open(SessionOptions()):
            pass


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (SessionLimits(max_session_s=0.05), "may last"),
        (SessionLimits(idle_timeout_s=0.05), "no sound"),
    ],
)
async def test_a_session_that_ends_by_a_limit_tells_the_rest(
    tmp_path: Path, limits: SessionLimits, reason: str
) -> None:
    async with session_rig(tmp_path, limits) as rig, rig.desk.open(SessionOptions()) as session:
        await session.feed(SECOND)
        rig.ears.tell(3.0, open_s=1.0)
        events = [event async for event in session.events()]
        (ending,) = [event for event in events if isinstance(event, Ending)]
        assert reason in ending.reason
        assert isinstance(events[-1], Completed)
        assert events[-1].text == "w1 w2 w3 w4 w5" or events[-1].text.startswith("w1")


async def test_a_server_that_stops_lets_speakers_hear_the_rest(tmp_path: Path) -> None:
    async with session_rig(tmp_path) as rig:
        async with rig.desk.open(SessionOptions()) as session:
            await session.feed(SECOND)
            rig.ears.tell(3.0, open_s=1.0)
            await turns()
            ending = asyncio.ensure_future(rig.desk.end_all("the server is stopping", 5))
            events = [event async for event in session.events()]
            assert Ending("the server is stopping") in events
            assert isinstance(events[-1], Completed)
            assert not ending.done()
        await asyncio.wait_for(ending, 5)
        with pytest.raises(NotReadyError, match="stopping"):
            async with rig.desk.open(SessionOptions()):
                pass


async def test_a_session_that_has_ended_is_gone_without_a_collector(tmp_path: Path) -> None:
    """The server's collector looks rarely: what cycles leave would be there for hours."""
    gc.collect()
    gc.disable()
    try:
        async with session_rig(tmp_path) as rig:
            async with rig.desk.open(SessionOptions()) as session:
                await say_two_seconds(rig, session)
                await spoken(session)
                gone = weakref.ref(session)
            del session
            await turns()
            assert gone() is None
    finally:
        gc.enable()
