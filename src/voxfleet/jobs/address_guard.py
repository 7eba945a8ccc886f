"""An HTTP client that connects only to public addresses, and to those the operator allows.

For URLs that users name. A host is resolved once for each connection, all of its addresses are
judged, and the connection goes to one of the very addresses that were judged: a name that means
something else a moment later changes nothing. Knows no webhook and no file.
"""

from __future__ import annotations

import asyncio
import http.cookiejar
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TypeAlias

import httpcore
import httpx

from voxfleet.errors import PermissionDeniedError
from voxfleet.jobs.public_address import may_be_reached, networks_of

#: host and port to the addresses the host has; may block
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
_SocketOptions: TypeAlias = Iterable[httpcore.SOCKET_OPTION] | None

#: of their own: names that are answered slowly hold up nothing but other names
_RESOLVER_THREADS = 8
_KEEP_ALIVE_S = 5.0
_MAX_CONNECTIONS = 100


def guarded_client(
    allowed_networks: Sequence[str], timeout_s: float, resolve: Resolve | None = None
) -> httpx.AsyncClient:
    """Raises PermissionDeniedError, when it sends, for a host that may not be reached.

    Redirects are not followed, proxies of the environment are not used, and no cookie is kept.
    """
    backend = _GuardedBackend(allowed_networks, resolve or _addresses_of, timeout_s)
    return httpx.AsyncClient(
        transport=_GuardedTransport(backend),
        timeout=timeout_s,
        trust_env=False,
        follow_redirects=False,
        cookies=_no_cookies(),
    )


def _no_cookies() -> http.cookiejar.CookieJar:
    return http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))


def _addresses_of(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections. TLS comes after it, and checks the certificate against the host's name."""

    def __init__(self, allowed_networks: Sequence[str], resolve: Resolve, limit_s: float) -> None:
        self._allowed = networks_of(allowed_networks)
        self._resolve = resolve
        self._limit_s = limit_s
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, "resolve")
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore calls it
        local_address: str | None = None,
        socket_options: _SocketOptions = None,
    ) -> httpcore.AsyncNetworkStream:
        limit_s = self._limit_s if timeout is None else timeout
        try:
            async with asyncio.timeout(limit_s):
                addresses = await self._checked(host, port)
                return await self._first_that_answers(
                    addresses, port, limit_s, local_address, socket_options
                )
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no connection within {limit_s:g} s") from None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _checked(self, host: str, port: int) -> Sequence[str]:
        resolving = asyncio.get_running_loop().run_in_executor(
            self._threads, self._resolve, host, port
        )
        try:
            addresses = await resolving
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the host's name has no address") from None
        if not all(may_be_reached(ip_address(address), self._allowed) for address in addresses):
            # which address it is stays untold: names inside a network are nobody's business
            raise PermissionDeniedError(
                f"{host}: is not, or not only, at public addresses; use another host, or have its"
                " network allowed in webhooks.allowed_networks"
            )
        return addresses

    async def _first_that_answers(
        self,
        addresses: Sequence[str],
        port: int,
        limit_s: float,
        local_address: str | None,
        socket_options: _SocketOptions,
    ) -> httpcore.AsyncNetworkStream:
        """Each has its share of the time, so that one that is silent leaves some to the next."""
        fault: Exception = httpcore.ConnectError("the host's name has no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, limit_s / len(addresses), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as missed:
                fault = missed
        raise fault


class _GuardedTransport(httpx.AsyncBaseTransport):
    """httpx over a pool of httpcore whose connections the backend opens."""

    def __init__(self, backend: _GuardedBackend) -> None:
        self._backend = backend
        self._pool = httpcore.AsyncConnectionPool(
            # certificates of the operator's own (SSL_CERT_FILE) count
            ssl_context=httpx.create_ssl_context(),
            max_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_KEEP_ALIVE_S,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101
        url = request.url
        sent = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _faults_of_httpx():
            answer = await self._pool.handle_async_request(sent)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        self._backend.close()
        with _faults_of_httpx():
            await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _faults_of_httpx():
            async for piece in self._answer.aiter_stream():
                yield piece

    async def aclose(self) -> None:
        with _faults_of_httpx():
            await self._answer.aclose()


_FAULTS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
}


@contextmanager
def _faults_of_httpx() -> Iterator[None]:
    """Its users know the faults of httpx, each of which has one of httpcore behind it."""
    try:
        yield
    except tuple(_FAULTS) as fault:
        raise _FAULTS[type(fault)](str(fault)) from fault
