"""Bad input, slow clients and crowds over FunASR's websocket protocol: a reason for each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.funasr_rig import (
    ENDS,
    LIMITS,
    PCM,
    STARTS,
    Rig,
    answer_of,
    closed,
    rig_with,
)
from tests.integration.media_rig import until
from tests.outsiders.funasr_protocol_client import (
    Voice,
    connected,
    go_client,
)
from voxfleet.errors import (
    ParameterError,
)
from voxfleet.pool_contract import WorkerState
from voxfleet.transcribe.session_contract import (
    PartialText,
)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_with(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    "frames",
    [
        ["START"],
        ["[]"],
        ['{"mode": "3pass"}'],
        ['{"mode": 1}'],
        [PCM],
        [STARTS, "{"],
        [STARTS, '{"audio_fs": "fast"}'],
    ],
)
async def test_a_bad_message_ends_the_connection_with_a_reason(
    rig: Rig, frames: list[str | bytes]
) -> None:
    async with connected(rig.url) as line:
        for frame in frames:
            await line.send(frame)
        answer = await answer_of(line)
        assert (answer["is_final"], answer["text"]) == (True, "")
        assert answer["error"]
        code, reason = await closed(line)
    assert code == 1008
    assert reason
    assert rig.opened == []


async def test_what_was_heard_before_a_bad_message_is_told(rig: Rig) -> None:
    async with connected(rig.url) as line:
        await line.send(STARTS)
        await line.send(PCM)
        await line.send("STOP")
        answers = [await answer_of(line) for _ in range(3)]
        assert (await closed(line))[0] == 1008
    assert answers[-1]["text"] == "Hello world."
    assert "no JSON" in str(answers[-1]["error"])


async def test_a_fault_while_feeding(rig: Rig) -> None:
    rig.session_refusal = ParameterError("audio_fs: not this rate")
    async with connected(rig.url) as line:
        await line.send(STARTS)
        await line.send(PCM)
        assert (await answer_of(line))["error"] == "audio_fs: not this rate"
        assert (await closed(line))[0] == 1008


async def test_an_unforeseen_fault_tells_nothing_of_the_inside(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.fault = RuntimeError("secret")
    async with connected(rig.url) as line:
        await line.send(json.dumps({"mode": "offline"}))
        await line.send(PCM)
        await line.send(ENDS)
        code, reason = await closed(line)
    assert code == 1011
    assert "secret" not in reason
    assert "secret" in caplog.text


async def test_a_client_that_never_reads_is_left(rig: Rig) -> None:
    rig.on_sound = [PartialText(0, "x" * 1_000_000)] * 20
    async with connected(rig.url) as line:
        line.transport.pause_reading()
        await line.send(STARTS)
        await line.send(PCM)
        await until(lambda: bool(rig.opened))
        await until(lambda: rig.opened[0].closed)
        line.transport.abort()


async def test_a_client_that_sends_faster_than_it_is_heard_waits(rig: Rig) -> None:
    rig.room.clear()
    async with connected(rig.url) as line:
        await line.send(STARTS)
        sending = asyncio.create_task(send_all(line, 200))
        await asyncio.sleep(0.3)
        assert not sending.done()
        assert len(rig.opened[0].sound) == 1_000_000
        rig.room.set()
        await asyncio.wait_for(sending, 20)


async def send_all(line: ClientConnection, megabytes: int) -> None:
    for _ in range(megabytes):
        await line.send(bytes(1_000_000))


async def test_who_says_nothing_is_left_without_a_message(tmp_path: Path) -> None:
    async with (
        rig_with(tmp_path, replace(LIMITS, idle_timeout_s=0.1)) as rig,
        connected(rig.url) as line,
    ):
        with pytest.raises(ConnectionClosed) as end:
            await line.recv()
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 1001


async def test_a_live_session_watches_silence_itself(tmp_path: Path) -> None:
    async with (
        rig_with(tmp_path, replace(LIMITS, idle_timeout_s=0.1)) as rig,
        connected(rig.url) as line,
    ):
        await line.send(STARTS)
        await line.send(PCM)
        await asyncio.sleep(0.3)
        await line.send(ENDS)
        while not (last := await answer_of(line))["is_final"]:
            pass
        assert last["text"] == "Hello world."


# -- places ---------------------------------------------------------------------------------------


async def test_one_connection_too_many_is_denied_and_a_place_comes_back(rig: Rig) -> None:
    async with connected(rig.url), connected(rig.url), connected(rig.url):
        with pytest.raises(InvalidStatus) as denial:
            async with connected(rig.url):
                pass
        assert denial.value.response.status_code == 503
        assert denial.value.response.headers["retry-after"]
        assert json.loads(denial.value.response.body)["error"]["code"] == "overloaded"
    await go_client(rig.url, Voice("a", PCM))


async def test_before_a_model_is_loaded(rig: Rig) -> None:
    rig.state = WorkerState.STARTING
    with pytest.raises(InvalidStatus) as denial:
        async with connected(rig.url):
            pass
    assert denial.value.response.status_code == 503


async def test_the_sub_protocol_is_taken_where_it_is_offered(rig: Rig) -> None:
    async with connected(rig.url + "funasr", binary=False) as line:
        assert line.subprotocol is None
    async with connected(rig.url + "funasr") as line:
        assert line.subprotocol == "binary"


# -- the server stops -----------------------------------------------------------------------------


async def test_who_has_begun_nothing_is_sent_away_and_nobody_is_let_in(rig: Rig) -> None:
    async with connected(rig.url) as idle, connected(rig.url) as done, connected(rig.url) as line:
        await done.send(json.dumps({"mode": "offline"}))
        await done.send(PCM)
        await done.send(ENDS)
        await answer_of(done)
        await line.send(STARTS)
        await line.send(PCM)
        await until(lambda: bool(rig.opened))
        rig.speaking.stop()
        for left in (idle, done):
            assert await closed(left) == (1001, "the server is stopping; connect again later")
        with pytest.raises(InvalidStatus) as denial:
            async with connected(rig.url):
                pass
        assert denial.value.response.status_code == 503
        await line.send(ENDS)
        while not (last := await answer_of(line))["is_final"]:
            pass
        assert last["text"] == "Hello world."
        assert (await closed(line))[0] == 1001
