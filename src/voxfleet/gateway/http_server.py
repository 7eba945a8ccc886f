"""Runs an ASGI app on a socket until told to stop. Knows uvicorn; knows nothing of the app.

Signals only set a flag: the order of stopping belongs to whoever called `serve`.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from voxfleet.errors import StartError
from voxfleet.gateway.http_protocol import LimitedHttpProtocol

#: connections the kernel keeps for us while the loop is busy
_BACKLOG = 2048
#: the last line, behind the places of the service: above it every request is answered 503 by
#: uvicorn itself, in plain text, before the app sees it
MAX_CONNECTIONS = 4096


def bind(host: str, port: int) -> socket.socket:
    """A socket listening on that address; raises StartError in one clear line."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as fault:
        raise StartError(_bind_fault(host, port, fault)) from None
    return listener


def _bind_fault(host: str, port: int, fault: OSError) -> str:
    if fault.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop what listens there or pass --port"
    if fault.errno == errno.EACCES:
        return f"port {port} needs privileges this user lacks; pass --port with one above 1023"
    return f"cannot listen on {host}:{port}: {fault.strerror}; pass --host and --port"


def _has_terminal() -> bool:
    """Whether there is a terminal that we belong to; a closed one is none any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_hangup: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_hangup = on_hangup
        self._had_terminal = _has_terminal()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again after its own shutdown, in the middle of ours; and
        # the handlers stay until the loop closes, as one more signal would cut ours short
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop_or_force)
        if self._had_terminal and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            # told to outlive its terminal (nohup)
            self._had_terminal = False
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        yield

    def _stop_or_force(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    def _hang_up(self) -> None:
        """A closed terminal is a stop; whoever sends the signal otherwise wants a reload."""
        if self._had_terminal and not _has_terminal():
            self._stop_or_force()
        elif not self.should_exit:
            self._on_hangup()


class HttpServer:
    """One uvicorn server; `serve` returns after a stop signal, when requests have ended.

    `on_hangup` is called for a SIGHUP that is not a terminal's end.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        shutdown_grace_s: float,
        on_hangup: Callable[[], object] = lambda: None,
    ) -> None:
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                app,
                http=LimitedHttpProtocol,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                # whole seconds are all it takes; 0 ends requests at once
                timeout_graceful_shutdown=math.ceil(shutdown_grace_s),
            ),
            on_hangup,
        )

    async def serve(self) -> None:
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        self._server.should_exit = True
