"""The bodies that ask for a client secret, in both dialects. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Struct

from voxfleet.errors import ParameterError
from voxfleet.gateway.realtime_events import SessionPatch, what_and_where

T = TypeVar("T")

#: room for a thousand keywords, most of them not escaped
MAX_ORDER_BYTES = 262_144
MIN_LIFETIME_S, MAX_LIFETIME_S = 10, 7_200


@dataclass(frozen=True, slots=True)
class SecretOrder:
    """`lifetime_s` None leaves it to the server."""

    session: SessionPatch
    lifetime_s: int | None
    size_bytes: int


class _Lifetime(Struct):
    anchor: str | None = None
    seconds: int | None = None


class _Order(Struct):
    expires_after: _Lifetime | None = None
    session: SessionPatch | None = None


class _Expiry(Struct):
    expires_at: _Lifetime | None = None


class _FlatOrder(SessionPatch):
    client_secret: _Expiry | None = None


_orders = msgspec.json.Decoder(_Order)
_flat_orders = msgspec.json.Decoder(_FlatOrder)


def read_order(body: bytes) -> SecretOrder:
    """`{"expires_after": …, "session": …}`; an empty body is all defaults."""
    order = _decoded(_orders, body, "")
    lifetime_s = _lifetime("expires_after", order.expires_after)
    return SecretOrder(order.session or SessionPatch(), lifetime_s, len(body))


def read_flat_order(body: bytes) -> SecretOrder:
    """The session itself, as the beta has it."""
    order = _decoded(_flat_orders, body, "session.")
    given = order.client_secret.expires_at if order.client_secret else None
    return SecretOrder(order, _lifetime("client_secret.expires_at", given), len(body))


def _lifetime(place: str, given: _Lifetime | None) -> int | None:
    if given is None:
        return None
    if given.anchor not in (None, "created_at"):
        raise ParameterError(f"{place}.anchor: is always created_at", param=f"{place}.anchor")
    seconds = given.seconds
    if seconds is not None and not MIN_LIFETIME_S <= seconds <= MAX_LIFETIME_S:
        raise ParameterError(
            f"{place}.seconds: {seconds} is not from {MIN_LIFETIME_S} to {MAX_LIFETIME_S}",
            param=f"{place}.seconds",
        )
    return seconds


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes, prefix: str) -> T:
    try:
        return decoder.decode(body.strip() or b"{}")
    except msgspec.ValidationError as fault:
        what, path = what_and_where(fault)
        place = prefix + path if path else "body"
        raise ParameterError(f"{place}: {what}", param=place) from None
    except (msgspec.DecodeError, RecursionError):
        raise ParameterError("body: is not valid JSON", param="body") from None
