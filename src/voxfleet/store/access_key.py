"""What a key is: what it may do, how often, and how one is made. Knows no file and no HTTP."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

_PREFIX = "vf-"
_SECRET_BYTES = 32
_ID_BYTES = 4
#: of a whole key: base64 without padding makes 43 characters of 32 bytes
KEY_CHARS = len(_PREFIX) + 43


class Scope(StrEnum):
    """What a key may do; `admin` may do everything."""

    TRANSCRIBE = "transcribe"
    JOBS = "jobs"
    ADMIN = "admin"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept: without the key itself. No limit is None."""

    id: str
    name: str
    scopes: frozenset[Scope]
    requests_per_minute: int | None = None
    concurrent: int | None = None
    created_s: float = 0.0
    revoked_s: float | None = None

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def limited(self) -> bool:
        return self.requests_per_minute is not None or self.concurrent is not None


def new_key() -> str:
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def new_id() -> str:
    return secrets.token_hex(_ID_BYTES)


def digest_of(presented: str) -> str:
    """What is kept of a key, and what it is looked up by.

    Slow hashes protect what people make up. A key is 256 random bits, which nobody guesses at any
    speed. For the same reason the time of a look-up tells nothing: whoever could steer the digest
    of what he sends towards a kept one could as well invert SHA-256.
    """
    return hashlib.sha256(presented.encode(errors="replace")).hexdigest()
