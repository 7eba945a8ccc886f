"""A stream between its session and a process that a test plays: what is sent, and sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from voxfleet.core import VadMode
from voxfleet.errors import AudioError, ParameterError
from voxfleet.media.live_sound import LiveOptions
from voxfleet.media.live_stream import LiveStream
from voxfleet.wire.live_messages import (
    LiveClose,
    LiveCut,
    LiveDetect,
    LiveHeard,
    LiveOpen,
    LivePiece,
    LivePieceFailed,
    LiveSound,
    LiveSpeech,
)
from voxfleet.wire.messages import Failure, ToChild


class Process:
    """Remembers what it was told; a test answers for it."""

    def __init__(self) -> None:
        self.told: list[ToChild] = []
        self.discarded: list[LiveStream] = []

    def tell(self, message: ToChild) -> None:
        self.told.append(message)

    def check_detector(self, vad: VadMode) -> None:
        if vad is VadMode.FSMN:
            raise ParameterError("no fsmn")

    def discard(self, stream: LiveStream) -> None:
        self.discarded.append(stream)

    def taken(self) -> list[ToChild]:
        told, self.told = self.told, []
        return told


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
async def stream(process: Process, tmp_path: Path) -> LiveStream:
    made = LiveStream(process, "f0", LiveOptions(), tmp_path / "f0", 60.0)
    made.hold()
    assert process.taken() == [LiveOpen("f0", "pcm16", 16_000, VadMode.AUTO, 0.5, 60.0, 0)]
    return made


def news(position: int, *, finished: bool = False) -> LiveHeard:
    return LiveHeard("f0", position, LiveSpeech((), None, position, None), finished)


def sound_of(message: ToChild) -> bytes:
    assert isinstance(message, LiveSound)
    return message.sound


async def test_what_comes_while_an_answer_is_due_goes_together(
    stream: LiveStream, process: Process
) -> None:
    stream.feed(b"a" * 1_024)
    for _ in range(5):
        stream.feed(b"b" * 1_024)
    assert [sound_of(message) for message in process.taken()] == [b"a" * 1_024]
    stream.hear(news(512))
    assert [sound_of(message) for message in process.taken()] == [b"b" * 5_120]


async def test_orders_keep_their_place_in_the_sound(stream: LiveStream, process: Process) -> None:
    stream.feed(b"a" * 1_024)
    stream.feed(b"b" * 10)
    flushing = asyncio.create_task(stream.flush())
    await asyncio.sleep(0)
    stream.feed(b"c" * 4)
    stream.restart_detection(VadMode.ENERGY, 0.4)
    stream.feed(b"d" * 1_024)
    assert process.taken() == [LiveSound("f0", b"a" * 1_024, 0)]
    stream.hear(news(512))
    assert process.taken() == [LiveSound("f0", b"b" * 10, 0, finish=True)]
    assert not flushing.done()
    stream.hear(news(517, finished=True))
    await flushing
    assert process.taken() == [LiveSound("f0", b"c" * 4, 0)]
    stream.hear(news(519))
    assert process.taken() == [LiveDetect("f0", VadMode.ENERGY, 0.4)]
    stream.hear(news(519))
    assert process.taken() == [LiveSound("f0", b"d" * 1_024, 0)]


async def test_the_next_process_is_told_all_that_may_be_needed(
    stream: LiveStream, process: Process
) -> None:
    stream.feed(b"a" * 32_000)
    stream.hear(news(16_000))
    stream.forget(12_000)
    stream.feed(b"b" * 1_024)
    stream.let_go()
    stream.feed(b"c" * 1_024)
    process.taken()
    stream.hold()
    assert process.taken() == [
        LiveOpen("f0", "pcm16", 16_000, VadMode.AUTO, 0.5, 60.0, 4_000),
        LiveSound("f0", b"a" * 24_000 + b"b" * 1_024 + b"c" * 1_024, 12_000),
    ]


async def test_a_cut_is_asked_again_once_the_next_process_has_heard_it(
    stream: LiveStream, process: Process, tmp_path: Path
) -> None:
    stream.feed(bytes(32_000))
    stream.hear(news(16_000))
    cutting = asyncio.create_task(stream.cut(100, 16_000))
    await asyncio.sleep(0)
    order = LiveCut("f0", 0, 100, 16_000, None, str(tmp_path / "f0" / "0.pcm"))
    assert process.taken()[-1] == order
    owed = [stream.owes_a_word]
    stream.let_go()
    owed.append(stream.owes_a_word)
    assert owed == [True, False]
    stream.hold()
    assert order not in process.taken()
    stream.hear(news(16_000))
    assert process.taken() == [order]
    stream.hear(LivePiece("f0", 0, 100, 15_900, "digest"))
    segment = await cutting
    assert (segment.id, segment.sample_count, segment.digest) == ("f0-0", 15_900, "digest")
    assert segment.start_s == 100 / 16_000


async def test_a_piece_that_failed_says_why_and_one_nobody_awaits_is_removed(
    stream: LiveStream, process: Process, tmp_path: Path
) -> None:
    stream.feed(bytes(32_000))
    stream.hear(news(16_000))
    cutting, gone = (asyncio.create_task(stream.cut(at, 16_000)) for at in (0, 1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    stream.hear(LivePieceFailed("f0", 0, Failure("invalid_value", "too old")))
    with pytest.raises(ParameterError, match="too old"):
        await cutting
    left = tmp_path / "f0" / "1.pcm"
    left.parent.mkdir()
    left.write_bytes(b"sound")
    stream.hear(LivePiece("f0", 1, 1, 15_999, "digest"))
    assert not left.exists()


async def test_sound_that_ends_every_process_is_given_up(
    stream: LiveStream, process: Process
) -> None:
    stream.feed(bytes(1_024))
    for _ in range(2):
        stream.let_go()
        stream.hold()
    stream.hear(news(512))
    for _ in range(3):
        stream.feed(bytes(1_024))
        stream.let_go()
        stream.hold()
    with pytest.raises(AudioError, match="3 times"):
        stream.feed(b"")


async def test_a_stream_that_waits_for_nothing_is_not_blamed(
    stream: LiveStream, process: Process
) -> None:
    for _ in range(10):
        stream.let_go()
        stream.hold()
    process.taken()
    stream.feed(bytes(1_024))
    assert process.taken() == [LiveSound("f0", bytes(1_024), 0)]


async def test_a_detector_that_is_not_there_changes_nothing(
    stream: LiveStream, process: Process
) -> None:
    with pytest.raises(ParameterError):
        stream.restart_detection(VadMode.FSMN, 0.5)
    stream.feed(bytes(1_024))
    assert process.taken() == [LiveSound("f0", bytes(1_024), 0)]


async def test_closing_tells_the_keeper(stream: LiveStream, process: Process) -> None:
    stream.close()
    stream.release()
    assert process.discarded == [stream]
    assert process.taken() == [LiveClose("f0")]
