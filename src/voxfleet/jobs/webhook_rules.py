"""Which URLs a webhook may have, what an answer means, and when a message is tried again. Pure.

Names are judged by `address_guard`, when they are resolved: what they mean may change until then.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum

from voxfleet.errors import ParameterError
from voxfleet.jobs.public_address import may_be_reached, networks_of

_MAX_URL_CHARS = 2048
#: so strict that all who read a URL agree on where its host ends. A name's last part begins with a
#: letter: what does not is an address, in one of the many ways to write it
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = rf"(?:{_LABEL}\.)*[a-z_](?:[a-z0-9_-]{{0,61}}[a-z0-9_])?"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?:(?P<name>{_NAME})\.?|(?P<v4>[0-9.]{{7,15}})|\[(?P<v6>[0-9a-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<rest>(?:[/?][!-\"$-~]*)?)",
    re.IGNORECASE,
)
_MAX_NAME_CHARS = 253
_MAX_PORT = 65535

#: seconds until the next attempt, by how many have failed; the last one from then on
_BACKOFF_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
_JITTER = 0.2
_MAX_RETRY_AFTER_S = 3600.0
_H = 3600.0

_GONE = 410
_ASK_FOR_TIME = frozenset({429, 503})


class Verdict(StrEnum):
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    AGAIN = "again"


def checked_webhook(url: str, allowed_networks: Sequence[str] = ()) -> str:
    """The URL in its one form; raises ParameterError for what is never sent to."""
    found = _URL.fullmatch(url) if len(url) <= _MAX_URL_CHARS else None
    if found is None:
        raise _refused(
            "is not http:// or https:// with a host and without user, fragment or characters other"
            f" than ASCII, of at most {_MAX_URL_CHARS} characters; percent-encode the rest"
        )
    if len(found["name"] or "") > _MAX_NAME_CHARS:
        raise _refused(f"has a host of more than {_MAX_NAME_CHARS} characters; name a shorter one")
    if not 0 < int(found["port"] or 1) <= _MAX_PORT:
        raise _refused(f"has a port that is not between 1 and {_MAX_PORT}; name another")
    if found["name"] is None:
        _check_address(found["v4"] or found["v6"], allowed_networks)
    port = f":{int(found['port'])}" if found["port"] else ""
    path = found["rest"] if found["rest"].startswith("/") else f"/{found['rest']}"
    return f"{found['scheme'].lower()}://{_host(found)}{port}{path}"


def host_of(url: str) -> str:
    """As `checked_webhook` writes it."""
    found = _URL.fullmatch(url)
    return url if found is None else _host(found)


def _host(found: re.Match[str]) -> str:
    return (found["name"] or found["v4"] or f"[{found['v6']}]").lower()


def next_attempt_s(attempts: int, jitter: float) -> float:
    """Seconds to wait after so many failed attempts; `jitter` in [0, 1) keeps messages apart."""
    wait_s = _BACKOFF_S[min(max(attempts, 1), len(_BACKOFF_S)) - 1]
    return wait_s * (1 - _JITTER + 2 * _JITTER * jitter)


def gives_up(created_s: float, now_s: float, limit_h: float) -> bool:
    """Asked after an attempt that failed: every message has one, however late."""
    return now_s - created_s >= limit_h * _H


def verdict(status: int) -> Verdict:
    """Of the answer's status. Redirects are not followed: they would lead past what was checked."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    return Verdict.GIVEN_UP if status == _GONE else Verdict.AGAIN


def asked_wait_s(status: int, retry_after: str, now_s: float) -> float:
    """What the answer's Retry-After asks for, an hour at most; 0 without one that is understood."""
    if status not in _ASK_FOR_TIME:
        return 0.0
    return min(max(_retry_after_s(retry_after.strip(), now_s), 0.0), _MAX_RETRY_AFTER_S)


def _retry_after_s(text: str, now_s: float) -> float:
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        # without a zone it is UTC, as dates of HTTP are
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s
    except (ValueError, OverflowError):
        return 0.0


def _check_address(text: str, allowed_networks: Sequence[str]) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise _refused("has a host that is neither a name nor an IP address; correct it") from None
    if not may_be_reached(address, networks_of(allowed_networks)):
        raise _refused(
            "has an address that is not public; name a public one, or have its network allowed in"
            " webhooks.allowed_networks"
        )


def _refused(why: str) -> ParameterError:
    return ParameterError(f"webhook: the URL {why}", param="webhook")
