"""How a session at `/v1/realtime` is refused and ends, on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.realtime_rig import live, realtime_app, talking, until_closed
from tests.integration.standin_service import StandInService
from voxfleet.core import Word
from voxfleet.errors import OverloadError
from voxfleet.pool_contract import WorkerState
from voxfleet.transcribe.session_contract import (
    Committed,
    Completed,
    Ending,
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


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("intent=conversation", "invalid_value", "intent"),
        ("model=nothing", "model_not_found", "model"),
        ("language=tlh", "invalid_value", None),
        ("hotwords=@none", "invalid_value", None),
        ("vad=loud", "invalid_value", "vad"),
    ],
)
async def test_a_bad_address_is_told_before_the_close(
    service: StandInService, address: str, query: str, code: str, param: str | None
) -> None:
    async with talking(address, query) as client:
        error = await client.error()
        assert error["code"] == code
        assert param in (None, error["param"])
        closed = await client.closed()
    assert closed[0] == 1008
    assert str(closed[1])[:20] == str(error["message"])[:20]
    assert service.sessions.opened == []


async def test_a_refusal_is_an_answer_of_http(
    service: StandInService, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    service.sessions.refusal = OverloadError("200 sessions are open", retry_after_s=3)
    with pytest.raises(InvalidStatus) as refused:
        async with talking(address):
            pass
    response = refused.value.response
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")
    assert json.loads(response.body or b"")["error"]["code"] == "overloaded"
    service.sessions.refusal, service.state = None, WorkerState.STARTING
    with pytest.raises(InvalidStatus, match="503"):
        async with talking(address):
            pass
    # strangers must not fill the log with what is no fault
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_an_ending_is_told_behind_what_was_heard(
    service: StandInService, address: str
) -> None:
    async with talking(address) as client:
        await client.next()
        session = service.sessions.opened[0]
        session.tell(Ending("the session is 4 hours old"), *UTTERANCE[3:], None)
        error = await client.error()
        assert (error["code"], error["message"]) == (
            "session_expired",
            "the session is 4 hours old",
        )
        last = [await client.next() for _ in range(4)][-1]
        assert last["transcript"] == "hello world"
        assert await client.closed() == (1001, "the session is 4 hours old")
    await until_closed(session)


async def test_a_lost_client_costs_its_session(service: StandInService, address: str) -> None:
    async with talking(address) as client:
        await client.next()
        client.socket.transport.abort()
        await until_closed(service.sessions.opened[0])


async def test_a_client_that_does_not_read_is_closed(service: StandInService, address: str) -> None:
    async with talking(address) as client:
        await client.next()
        client.socket.transport.pause_reading()
        session = service.sessions.opened[0]
        for number in range(5_000):
            session.tell(PartialText(0, f"{number} " * 500))
            if number % 100 == 0:
                await asyncio.sleep(0)
        await until_closed(session)
        client.socket.transport.abort()


async def test_megabytes_at_once(service: StandInService, address: str) -> None:
    async with talking(address) as client:
        await client.next()
        await client.append(bytes(11_000_000))
        await client.socket.send('{"type":"session.update","a":[' + "1," * 3_000_000 + "1]}")
        assert (await client.error())["code"] == "invalid_payload"
        assert len(service.sessions.opened[0].sound) == 11_000_000
        await client.append(bytes(11_796_482))
        assert (await client.error())["code"] == "invalid_audio"
        with suppress(ConnectionClosed):
            await client.socket.send("x" * 17_000_000)
        assert (await client.closed())[0] == 1009
    await until_closed(service.sessions.opened[0])


async def test_a_handshake_that_is_none_is_answered(address: str) -> None:
    head = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    async with httpx.AsyncClient() as client:
        long = await client.get(f"http://{address}/v1/realtime?a={'b' * 9_000}", headers=head)
        short = await client.get(f"http://{address}/v1/realtime", headers=head)
    assert (long.status_code, short.status_code) == (400, 400)
    assert long.json()["error"]["code"] == "bad_request"


async def test_the_protocol_that_was_offered_is_answered(address: str) -> None:
    async with talking(address, protocols=("realtime", "openai-insecure-api-key.none")) as client:
        assert client.socket.subprotocol == "realtime"
