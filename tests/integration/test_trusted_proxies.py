"""Whom a request comes from: the connection says it, or a proxy that is trusted by name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from voxfleet.gateway.http_server import HttpServer, bind
from voxfleet.gateway.http_settings import HttpSettings

FORWARDED = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    client = request.client.host if request.client else None
    await JSONResponse([client, request.url.scheme])(scope, receive, send)


async def seen(trusted: Sequence[str], headers: dict[str, str]) -> object:
    with bind("127.0.0.1", 0) as listener:
        server = HttpServer(who, listener, HttpSettings(1, trusted_proxies=trusted))
        serving = asyncio.create_task(server.serve())
        async with httpx.AsyncClient() as client:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            answer: object = (await client.get(address, headers=headers)).json()
        server.stop()
        await asyncio.wait_for(serving, 20)
    return answer


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",), ("203.0.113.9",)])
async def test_nobody_else_is_believed(trusted: Sequence[str]) -> None:
    assert await seen(trusted, FORWARDED) == ["127.0.0.1", "http"]


@pytest.mark.parametrize("trusted", [("127.0.0.1",), ("10.0.0.0/8", "127.0.0.0/8")])
async def test_a_trusted_proxy_tells_whom_it_speaks_for(trusted: Sequence[str]) -> None:
    assert await seen(trusted, FORWARDED) == ["203.0.113.9", "https"]


async def test_what_a_client_puts_before_the_proxys_own_word_is_not_believed() -> None:
    forged = {"x-forwarded-for": "192.0.2.1, 203.0.113.9"}
    assert await seen(("127.0.0.1",), forged) == ["203.0.113.9", "http"]
