"""One line for every websocket, however it ended."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope, Send

from voxfleet.errors import AuthenticationError
from voxfleet.gateway.websocket_log import WebsocketLog
from voxfleet.gateway.websocket_refusal import refuse_websocket

CONNECT: Message = {"type": "websocket.connect"}


def scope(**more: object) -> Scope:
    return {
        "type": "websocket",
        "path": "/funasr",
        "headers": [],
        "client": ("10.0.0.9", 1),
        "state": {},
        **more,
    }


async def logged(
    app: object, came: Iterable[Message], caplog: pytest.LogCaptureFixture, given: Scope
) -> str:
    caplog.set_level("INFO", "voxfleet.access")
    coming = iter(came)

    async def receive() -> Message:
        return next(coming)

    async def send(_: Message) -> None: ...

    times_s = iter((1.0, 3.5))
    log = WebsocketLog(app, lambda: next(times_s))  # type: ignore[arg-type]
    await log(given, receive, send)
    (record,) = caplog.records
    return record.getMessage()


async def ends_it(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1001})
    # what the client answers to the close is no other end
    await receive()


async def test_an_end_by_the_server(caplog: pytest.LogCaptureFixture) -> None:
    came = [CONNECT, {"type": "websocket.disconnect", "code": 1006}]
    line = await logged(ends_it, came, caplog, scope())
    assert line == "WEBSOCKET other: 1001 in 2.500 s, client 10.0.0.9"


async def leaves(_: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def test_an_end_by_the_client_names_the_session(caplog: pytest.LogCaptureFixture) -> None:
    came = [CONNECT, {"type": "websocket.disconnect", "code": 1000}]
    given = scope(state={"session_id": "sess_1", "client": "key:d1"})
    line = await logged(leaves, came, caplog, given)
    assert line == "WEBSOCKET other: 1000 in 2.500 s, session sess_1, client key:d1"


async def test_a_client_that_goes_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    came = [CONNECT, {"type": "websocket.disconnect"}]
    assert ": 1005 in" in await logged(leaves, came, caplog, scope())


async def refuses(given: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await refuse_websocket(AuthenticationError("no key"), given, receive, send)


@pytest.mark.parametrize(
    ("extensions", "code"), [({"websocket.http.response": {}}, 401), ({}, 1008)]
)
async def test_a_refusal(
    extensions: dict[str, object], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    line = await logged(refuses, [CONNECT], caplog, scope(extensions=extensions))
    assert f": {code} in" in line
    assert "invalid_api_key" in str(vars(caplog.records[0]))


async def breaks(_: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a bug")


async def test_an_app_that_broke(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError):
        await logged(breaks, [], caplog, scope())
    assert ": 1006 in" in caplog.records[0].getMessage()
