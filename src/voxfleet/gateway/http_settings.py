"""What the server of the gateway is told: how it meets the network, and whom signals concern."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How the server meets the network; without `tls` it speaks plain HTTP.

    `drain_delay_s` is how long it goes on taking requests after a stop signal, so that a balancer
    can learn that it is leaving. `trusted_proxies` are addresses and networks.
    """

    shutdown_grace_s: float = 30.0
    drain_delay_s: float = 0.0
    trusted_proxies: Sequence[str] = ()
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class SignalHooks:
    """What is called for a stop signal, when it comes, and for a SIGHUP that ends no terminal."""

    on_stop: Callable[[], object] = lambda: None
    on_hangup: Callable[[], object] = lambda: None
    #: awaited before connections are closed, so that who speaks hears the rest
    before_close: Callable[[], Awaitable[object]] | None = None
