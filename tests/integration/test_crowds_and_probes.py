"""A probe on a new connection does not stand behind all who connected before it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

import uvloop
from starlette.types import Receive, Scope, Send

from tests.integration.standin_service import StandInService
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app
from voxfleet.gateway.http_server import HttpServer, bind
from voxfleet.gateway.http_settings import HttpSettings

CROWD = 200


class Arrivals:
    """The paths of requests, in the order in which their answers begin."""

    def __init__(self, folder: Path) -> None:
        self.paths: list[str] = []
        self.complete = asyncio.Event()
        self._app = create_app(StandInService(), GatewaySettings(folder, "9.9"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        self.paths.append(scope["path"])
        if len(self.paths) > CROWD:
            self.complete.set()


def connected(address: tuple[str, int], path: str) -> socket.socket:
    """The kernel takes connection and request; the server has yet to accept it."""
    client = socket.create_connection(address, timeout=10)
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: here\r\n\r\n".encode())
    return client


async def answered(listener: socket.socket, folder: Path) -> list[str]:
    arrivals = Arrivals(folder)
    server = HttpServer(arrivals, listener, HttpSettings(1.0))
    serving = asyncio.create_task(server.serve())
    await asyncio.wait_for(arrivals.complete.wait(), 20)
    server.stop()
    await asyncio.wait_for(serving, 20)
    return arrivals.paths


def test_the_last_of_a_crowd_who_asks_for_health_is_among_the_first(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as listener, ExitStack() as clients:
        address = listener.getsockname()
        for _ in range(CROWD):
            clients.enter_context(connected(address, "/v1/models"))
        clients.enter_context(connected(address, "/health"))
        # as the server runs: asyncio's own loop accepts differently
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            paths = runner.run(answered(listener, tmp_path))
    assert paths.index("/health") < CROWD / 2


def test_a_stopped_server_leaves_no_door_open(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(stopped(listener, tmp_path))
        with socket.socket() as late:
            assert late.connect_ex(address) != 0


async def stopped(listener: socket.socket, folder: Path) -> None:
    app = create_app(StandInService(), GatewaySettings(folder, "9.9"))
    server = HttpServer(app, listener, HttpSettings(1.0))
    serving = asyncio.create_task(server.serve())
    await asyncio.sleep(0)
    server.stop()
    await asyncio.wait_for(serving, 20)
