"""Fetches one file over HTTP, within limits of size, pace and redirects, from allowed places only.

Every redirect is judged as a reference of its own. Knows no path and no bucket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import httpx

from voxfleet.errors import OverloadError, ParameterError, RequestError, VoxfleetError
from voxfleet.jobs.address_guard import Resolve, guarded_client
from voxfleet.jobs.place_faults import away, denied, missing
from voxfleet.jobs.scratch_copy import ScratchCopy
from voxfleet.jobs.source_rules import SourceRules, is_http

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MISSING = frozenset({404, 410})
_DENIED = frozenset({401, 403})
#: asked too early, too often or too slowly: it may work later
_LATER = frozenset({408, 425, 429})
_MAX_RETRY_AFTER_S = 3600.0
#: a chunk now and then keeps a read from timing out, and must not keep a place for ever
_GRACE_S = 30.0
_MIN_BYTES_PER_S = 16_000
_WRITE_BYTES = 1_000_000
#: packed bytes could unpack into any size
_HEADERS = {"accept-encoding": "identity", "user-agent": "voxfleet"}


class HttpSource:
    """One client for all; `close` once, at the end."""

    def __init__(
        self,
        rules: SourceRules,
        allowed_networks: Sequence[str],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        resolve: Resolve | None = None,
    ) -> None:
        self._rules = rules
        self._client = guarded_client(allowed_networks, timeout_s, resolve)
        self._clock = clock

    async def close(self) -> None:
        await self._client.aclose()

    async def fetch(self, url: str, copy: ScratchCopy) -> None:
        """Raises VoxfleetError; `retryable` where it may be there later."""
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                target = await self._fetched(url, copy)
                if target is None:
                    return
                url = self._judged(target, copy.name)
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            raise away(copy.name, type(fault).__name__) from fault
        raise RequestError(
            f"{copy.name}: its host redirects more than {_MAX_REDIRECTS} times; name the last place"
        )

    def _judged(self, target: httpx.URL, name: str) -> str:
        try:
            place = self._rules.understood(str(target))
        except ParameterError as fault:
            raise RequestError(f"{name}: its host redirects, and {fault.message}") from None
        if not is_http(place):
            raise RequestError(f"{name}: its host redirects to no URL of HTTP; name the last place")
        return place

    async def _fetched(self, url: str, copy: ScratchCopy) -> httpx.URL | None:
        """Where a redirect leads; None once the file is there."""
        async with self._client.stream("GET", url, headers=_HEADERS) as response:
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return _target(response, copy.name)
            if response.status_code != httpx.codes.OK:
                raise _refused(response, copy.name)
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise RequestError(f"{copy.name}: its host sends it packed; have it sent as it is")
            await self._taken(response, copy)
        return None

    async def _taken(self, response: httpx.Response, copy: ScratchCopy) -> None:
        copy.check_size(_number(response.headers.get("content-length", "")))
        began_s = self._clock()
        size_bytes = 0
        waiting = bytearray()
        async for piece in response.aiter_raw():
            size_bytes += len(piece)
            waiting += piece
            _check_pace(size_bytes, self._clock() - began_s, copy.name)
            if len(waiting) >= _WRITE_BYTES:
                await asyncio.to_thread(copy.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(copy.write, bytes(waiting))


def _target(response: httpx.Response, name: str) -> httpx.URL:
    try:
        return response.url.join(response.headers["location"])
    except httpx.InvalidURL:
        raise RequestError(f"{name}: its host redirects to no URL; name the last place") from None


def _check_pace(size_bytes: int, elapsed_s: float, name: str) -> None:
    if size_bytes < (elapsed_s - _GRACE_S) * _MIN_BYTES_PER_S:
        raise OverloadError(
            f"{name}: its host sends fewer than {_MIN_BYTES_PER_S} bytes a second; try later"
        )


def _refused(response: httpx.Response, name: str) -> VoxfleetError:
    status = response.status_code
    if status in _MISSING:
        return missing(name)
    if status in _DENIED:
        return denied(name)
    if status in _LATER or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        later = away(name, f"status {status}")
        asked_s = _number(response.headers.get("retry-after", ""))
        later.retry_after_s = min(float(asked_s), _MAX_RETRY_AFTER_S) or None
        return later
    return RequestError(f"{name}: its host answers with status {status}; check the place")


def _number(text: str) -> int:
    """A number of a header; 0 for what is none (a date, say)."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
