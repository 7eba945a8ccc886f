"""Who speaks loses no word, whatever is killed, and a server that stops tells the rest."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults.fault_fleet import LIVE_MODULE, WORKER_MODULE, FaultFleet, fault_fleet, hit, until
from tests.integration.realtime_talk import Talk, talking
from tests.integration.worker_rig import noise, segment
from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.engines.fake import hear

SETTINGS = {"VOXFLEET_INSTANCES": "2", "VOXFLEET_FAKE__FIXED_S": "0.05"}
#: with what is read around it, away from a multiple of the half second that is a word
SECONDS = 4.2
QUIET = bytes(2 * SAMPLE_RATE_HZ)
#: loud noise, which counts as sound and is told apart from silence
SOUND = noise(SECONDS, 77)
SPEECH = SOUND.astype("<i2").tobytes()


def expected() -> list[str]:
    return hear(segment(SOUND)).text.split()


def ask(fleet: FaultFleet, work: Callable[[Talk], Awaitable[None]]) -> None:
    async def run() -> None:
        async with talking(str(fleet.client.base_url).rstrip("/"), vad="energy") as talk:
            await work(talk)

    asyncio.run(run())


def same_words(text: str) -> bool:
    """Fake's words are of half seconds from the piece's start, which has a prefix of silence."""
    return len(text.split()) >= len(expected())


async def speak(talk: Talk, meanwhile: Callable[[], object] = lambda: None) -> str:
    """An utterance from a known place of the stream on, with something that happens in it."""
    told = len(talk.texts)
    half = len(SPEECH) // 2
    # so that what was said before is no part of it
    await talk.say(QUIET + SPEECH[:half], [3_200], pause_s=0.05)
    meanwhile()
    await talk.say(SPEECH[half:] + QUIET, [3_200], pause_s=0.05)
    return (await talk.until_texts(told + 1))[-1]


def test_killed_workers_cost_no_word(tmp_path: Path) -> None:
    with fault_fleet(tmp_path, SETTINGS) as fleet:

        def kill_workers() -> None:
            for worker in fleet.children(WORKER_MODULE):
                hit(worker)

        async def work(talk: Talk) -> None:
            undisturbed = await speak(talk)
            assert same_words(undisturbed)
            killed = await speak(talk, kill_workers)
            assert killed == undisturbed

        ask(fleet, work)
        until(lambda: fleet.restarts() >= 2, "both are replaced")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_process_that_hears_is_replaced_in_mid_speech(
    tmp_path: Path, number: signal.Signals
) -> None:
    with fault_fleet(tmp_path, SETTINGS) as fleet:

        def strike() -> None:
            (ears,) = fleet.children(LIVE_MODULE)
            assert hit(ears, number)

        async def work(talk: Talk) -> None:
            undisturbed = await speak(talk)
            assert await speak(talk, strike) == undisturbed

        ask(fleet, work)


def test_a_server_that_stops_tells_what_was_said(tmp_path: Path) -> None:
    with fault_fleet(tmp_path, SETTINGS) as fleet:

        async def work(talk: Talk) -> None:
            await talk.say(SPEECH, [3_200], pause_s=0.05)
            fleet.process.send_signal(signal.SIGTERM)
            (text,) = await talk.until_texts(1)
            assert same_words(text)
            await talk.until_over()
            assert talk.line.close_code == 1001

        ask(fleet, work)
        assert fleet.process.wait(30) == 0


def test_who_leaves_in_mid_sentence_leaves_nothing(tmp_path: Path) -> None:
    with fault_fleet(tmp_path, SETTINGS) as fleet:

        async def work(talk: Talk) -> None:
            await talk.say(SPEECH, [3_200], pause_s=0.02)
            talk.line.transport.abort()

        for _ in range(5):
            ask(fleet, work)
        until(lambda: fleet.files() == [], "no sound of theirs is left")
        opened = "voxfleet_realtime_sessions_open 0.0"
        until(lambda: opened in fleet.client.get("/metrics").text, "no session is left")
        assert fleet.restarts() == 0
