"""The server around the app: its last limit of connections, and how it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.standin_service import StandInService
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app
from voxfleet.gateway.http_server import HttpServer, bind
from voxfleet.gateway.http_settings import HttpSettings, SignalHooks


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@asynccontextmanager
async def running(
    service: StandInService, folder: Path, grace_s: float
) -> AsyncIterator[tuple[HttpServer, httpx.AsyncClient, asyncio.Task[None]]]:
    with bind("127.0.0.1", 0) as listener:
        app = create_app(service, GatewaySettings(folder, "9.9"))
        server = HttpServer(app, listener, HttpSettings(grace_s))
        serving = asyncio.create_task(server.serve())
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=address) as client:
            yield server, client, serving
        server.stop()
        await asyncio.wait_for(serving, 20)


async def test_too_many_connections_are_answered_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxfleet.gateway.http_server.MAX_CONNECTIONS", 2)
    async with running(StandInService(), tmp_path, 5) as (_, client, _serving):
        assert (await client.get("/livez")).status_code == 200
        # the client keeps its first connection open
        async with httpx.AsyncClient(base_url=client.base_url) as second:
            assert (await second.get("/livez")).status_code == 503
        assert (await client.get("/livez")).status_code == 200


async def test_no_grace_ends_requests_at_once(tmp_path: Path) -> None:
    service = StandInService()
    service.hold = True
    async with running(service, tmp_path, 0) as (server, client, serving):
        sending = asyncio.create_task(client.post("/asr", files={"file": ("a.wav", b"x")}))
        await service.holding.wait()
        begun_s = asyncio.get_running_loop().time()
        server.stop()
        await serving
        assert asyncio.get_running_loop().time() - begun_s < 0.9
        stopped = await sending
        assert (stopped.status_code, stopped.json()["error"]["code"]) == (503, "not_ready")
        assert stopped.headers["x-request-id"]
        assert stopped.headers["retry-after"]
    assert service.cancelled.is_set()
    assert files_in(tmp_path) == []


async def test_a_request_in_work_may_finish_within_the_grace(tmp_path: Path) -> None:
    service = StandInService()
    service.hold = True
    async with running(service, tmp_path, 0.3) as (server, client, serving):
        sending = asyncio.create_task(client.post("/asr", files={"file": ("a.wav", b"x")}))
        await service.holding.wait()
        server.stop()
        service.released.set()
        assert (await sending).status_code == 200
        await serving


async def test_a_forced_end_does_not_wait_for_last_words(tmp_path: Path) -> None:
    told = asyncio.Event()

    async def never() -> None:
        told.set()
        await asyncio.Event().wait()

    hooks = SignalHooks(before_close=never)
    with bind("127.0.0.1", 0) as listener:
        app = create_app(StandInService(), GatewaySettings(tmp_path, "9.9"))
        server = HttpServer(app, listener, HttpSettings(5), hooks)
        serving = asyncio.create_task(server.serve())
        await asyncio.sleep(0)
        server.stop()
        await told.wait()
        assert not serving.done()
        # as the last of several signals does
        server._server.force_exit = True
        await asyncio.wait_for(serving, 5)
