"""Which scope a request needs, by method and path: a table; what is not in it needs a key too.

Knows neither keys nor the routes themselves: a test walks all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from voxfleet.store.access_key import Scope

#: stands for the method of what has none; an HTTP request cannot have it
WEBSOCKET = "websocket"
_READING = frozenset({"GET", "HEAD", "OPTIONS", WEBSOCKET})

#: open to everybody, with what lies under them; `/` alone is open, not what lies under it
_PUBLIC = ("/health", "/livez", "/readyz", "/openapi.json", "/docs", "/redoc", "/ui")

#: the first that fits decides
_RESTRICTED: tuple[tuple[str, Scope], ...] = (
    ("/v1/instances", Scope.ADMIN),
    ("/v1/fleet", Scope.ADMIN),
    ("/v1/system", Scope.ADMIN),
    ("/v1/jobs", Scope.JOBS),
    ("/metrics", Scope.METRICS),
)
_HOTWORDS = "/v1/hotwords"

#: a POST to them computes, and counts against the limits of its key
_WORK = ("/v1/audio", "/asr", "/recognition", "/v1/jobs")


#: and so does a websocket to them
_LIVE = ("/v1/realtime", "/funasr")


@dataclass(frozen=True, slots=True)
class Need:
    """What a request needs; no scope is None."""

    scope: Scope | None
    #: where no key is asked for, no page from elsewhere may do it through its visitor's browser: it
    #: changes something of the operator's, or is a websocket, which a browser opens for any page
    order: bool = False
    #: it takes of what a key may use up
    work: bool = False


@lru_cache(maxsize=512)
def need_of(method: str, path: str) -> Need:
    """`path` is the one that the router sees, without the root path."""
    # by the beginning alone: a pattern of the router may take more than looks like the route
    if method == WEBSOCKET:
        live = path == "/" or path.startswith(_LIVE)
        return Need(_scope(True, path), order=True, work=live)
    if path == "/" or _lies_under(path, _PUBLIC):
        return Need(None)
    reading = method in _READING
    scope = _scope(reading, path)
    return Need(
        scope,
        order=scope is Scope.ADMIN and not reading,
        work=method == "POST" and path.startswith(_WORK),
    )


def _scope(reading: bool, path: str) -> Scope:
    for prefix, scope in _RESTRICTED:
        if path.startswith(prefix):
            return scope
    if not reading and path.startswith(_HOTWORDS):
        return Scope.ADMIN
    return Scope.TRANSCRIBE


def _lies_under(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)
