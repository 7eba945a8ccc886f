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
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from voxfleet.errors import StartError
from voxfleet.gateway.http_protocol import LimitedHttpProtocol
from voxfleet.gateway.http_settings import HttpSettings, SignalHooks
from voxfleet.gateway.websocket_protocol import LimitedWebSocketProtocol

#: connections the kernel keeps for us while the loop is busy
_BACKLOG = 2048
#: libuv accepts one connection of a socket in a turn of the loop, which would leave a probe behind
#: all the clients who connect again at the same time
_DOORS = 8
#: the last line, behind the places of the service: above it every request is answered 503
#: before the app sees it
MAX_CONNECTIONS = 4096
#: of a websocket: 15 MiB of sound as text, and what is around it
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_PING_S = 20.0
_FORCED_LOOK_S = 0.1
#: every half minute, as uvicorn's server ticks ten times a second
_TICKS_PER_LOOK = 300
#: a little more than an answer takes for its last words
_LAST_WORDS_S = 6.0


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
    def __init__(self, config: uvicorn.Config, hooks: SignalHooks, drain_delay_s: float) -> None:
        super().__init__(config)
        self._hooks = hooks
        self._drain_delay_s = drain_delay_s
        self._draining: asyncio.TimerHandle | None = None
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

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_LOOK == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedHttpProtocol | LimitedWebSocketProtocol):
                    connection.look(now_s)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._hooks.before_close:
            await self._unless_forced(self._hooks.before_close())
        await super().shutdown(sockets)

    async def _unless_forced(self, work: Awaitable[object]) -> None:
        """A signal that comes meanwhile does not wait for it."""
        task = asyncio.ensure_future(work)
        while not task.done() and not self.force_exit:
            await asyncio.wait({task}, timeout=_FORCED_LOOK_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def _stop_or_force(self) -> None:
        """The first signal begins the end, the next one hurries it, the last one forces it."""
        if self._draining is None and not self.should_exit:
            self._hooks.on_stop()
            loop = asyncio.get_running_loop()
            self._draining = loop.call_later(self._drain_delay_s, self._stop)
            if self._drain_delay_s:
                return
        self.force_exit = self.should_exit
        self._stop()

    def _stop(self) -> None:
        self.should_exit = True

    def _hang_up(self) -> None:
        """A closed terminal is a stop; whoever sends the signal otherwise wants a reload."""
        if self._had_terminal and not _has_terminal():
            self._stop_or_force()
        elif not self.should_exit:
            self._hooks.on_hangup()


class HttpServer:
    """One uvicorn server; `serve` returns after a stop signal, when requests have ended."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        settings: HttpSettings,
        hooks: SignalHooks | None = None,
        side_door: socket.socket | None = None,
    ) -> None:
        """The app also answers at `side_door`, another port, if there is one."""
        self._listener = listener
        self._side_door = side_door
        tls = settings.tls
        config = uvicorn.Config(
            app,
            http=LimitedHttpProtocol,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            ws=LimitedWebSocketProtocol,
            ws_max_size=_MAX_MESSAGE_BYTES,
            ws_ping_interval=_PING_S,
            ws_ping_timeout=_PING_S,
            # speech does not shrink, and unpacking would be a way to fill the memory
            ws_per_message_deflate=False,
            limit_concurrency=MAX_CONNECTIONS,
            # whole seconds are all it takes; 0 ends requests at once
            timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
            # left alone, uvicorn believes whoever connects from this machine
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )
        self._server = _Server(config, hooks or SignalHooks(), settings.drain_delay_s)

    async def serve(self) -> None:
        doors = [self._listener, *(self._listener.dup() for _ in range(_DOORS - 1))]
        if self._side_door:
            doors.append(self._side_door)
        await self._server.serve(sockets=doors)
        # uvicorn cancels what has not ended in time, and does not wait for its last words
        if left := set(self._server.server_state.tasks):
            await asyncio.wait(left, timeout=_LAST_WORDS_S)

    def stop(self) -> None:
        self._server.should_exit = True
