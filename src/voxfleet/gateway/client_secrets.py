"""Keys that a server hands on to its visitors' browsers: short-lived, for a realtime session alone.

Kept in memory, as digests, and forgotten with the process. Told the time; knows no route.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from voxfleet.errors import AuthenticationError, OverloadError, RateLimitError
from voxfleet.gateway.realtime_settings import RealtimeSettings
from voxfleet.store.access_key import Key, Scope, digest_of

_PREFIX = "ek_"
_SECRET_BYTES = 32
#: of a whole secret: base64 without padding makes 43 characters of 32 bytes
_SECRET_CHARS = len(_PREFIX) + 43
_MAX_SECRETS = 10_000
#: one maker's, so that none takes the place of others
_MAX_OF_ONE = 1_000
#: of settings, for all secrets together and for one maker's
_MAX_BYTES = 32_000_000
_MAX_BYTES_OF_ONE = 4_000_000


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """`key_id` is that of the key it was made with, None where the server has none."""

    settings: RealtimeSettings
    maker: str
    key_id: str | None
    size_bytes: int
    expires_at_s: float


@dataclass(slots=True)
class _Holding:
    count: int = 0
    size_bytes: int = 0


class ClientSecrets:
    def __init__(
        self,
        key_of: Callable[[str], Key | None] = lambda _id: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`key_of` finds a key that is still valid by its id."""
        self._key_of = key_of
        self._clock = clock
        self._by_digest: dict[str, ClientSecret] = {}
        self._held: dict[str, _Holding] = {}
        self._size_bytes = 0

    def make(
        self,
        settings: RealtimeSettings,
        maker: str,
        key_id: str | None,
        size_bytes: int,
        lifetime_s: float,
    ) -> tuple[str, float]:
        """The secret, which is shown this once, and when it ends; raises where there are too many.

        `size_bytes` is about what the settings take.
        """
        now_s = self._clock()
        self._refuse_hoard(maker, size_bytes, now_s)
        value = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        made = ClientSecret(settings, maker, key_id, size_bytes, now_s + lifetime_s)
        self._by_digest[digest_of(value)] = made
        self._count(made, 1)
        return value, made.expires_at_s

    def find(self, presented: str | None) -> ClientSecret | None:
        """None for what is no secret at all; raises AuthenticationError for one that is not valid.

        A secret ends with the key it was made with.
        """
        if presented is None or not presented.startswith(_PREFIX):
            return None
        found = None
        if len(presented) == _SECRET_CHARS:
            found = self._by_digest.get(digest_of(presented))
        if found is None or found.expires_at_s <= self._clock() or self._is_orphan(found):
            raise AuthenticationError(
                "the client secret is unknown or has expired; ask your own server for another"
                " (POST /v1/realtime/client_secrets)"
            )
        return found

    def key_for(self, secret: ClientSecret) -> Key | None:
        """The key that a session of this secret counts for, with nothing but that one scope."""
        key = self._key_of(secret.key_id) if secret.key_id else None
        return replace(key, scopes=frozenset({Scope.TRANSCRIBE})) if key else None

    def _is_orphan(self, secret: ClientSecret) -> bool:
        key = self._key_of(secret.key_id) if secret.key_id else None
        return secret.key_id is not None and (key is None or not key.allows(Scope.TRANSCRIBE))

    def _refuse_hoard(self, maker: str, size_bytes: int, now_s: float) -> None:
        if self._is_too_much(maker, size_bytes):
            self._forget_expired(now_s)
        held = self._held.get(maker, _Holding())
        if held.count >= _MAX_OF_ONE or held.size_bytes + size_bytes > _MAX_BYTES_OF_ONE:
            raise RateLimitError(
                f"{held.count} client secrets of this key are valid, which is all that are kept;"
                " wait for some to expire, or make them shorter-lived",
                retry_after_s=10,
            )
        if self._is_too_much(maker, size_bytes):
            raise OverloadError(
                "too many client secrets are valid; try again later", retry_after_s=10
            )

    def _is_too_much(self, maker: str, size_bytes: int) -> bool:
        held = self._held.get(maker, _Holding())
        return (
            len(self._by_digest) >= _MAX_SECRETS
            or self._size_bytes + size_bytes > _MAX_BYTES
            or held.count >= _MAX_OF_ONE
            or held.size_bytes + size_bytes > _MAX_BYTES_OF_ONE
        )

    def _forget_expired(self, now_s: float) -> None:
        ended = [name for name, each in self._by_digest.items() if each.expires_at_s <= now_s]
        for name in ended:
            self._count(self._by_digest.pop(name), -1)

    def _count(self, secret: ClientSecret, sign: int) -> None:
        held = self._held.setdefault(secret.maker, _Holding())
        held.count += sign
        held.size_bytes += sign * secret.size_bytes
        self._size_bytes += sign * secret.size_bytes
        if not held.count:
            del self._held[secret.maker]
