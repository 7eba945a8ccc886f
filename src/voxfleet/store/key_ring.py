"""The keys a running server knows, in memory: asked at every request, renewed every second.

`voxfleet keys` writes into the same database from a process of its own. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from voxfleet.errors import VoxfleetError
from voxfleet.store.access_key import KEY_CHARS, Key, digest_of
from voxfleet.store.key_store import KnownKeys

_log = logging.getLogger(__name__)

#: keys are few: reading all of them takes a fraction of a millisecond, in a thread
_RENEW_S = 1.0


class KnowsKeys(Protocol):
    def known(self) -> KnownKeys: ...


class KeyRing:
    def __init__(self, store: KnowsKeys) -> None:
        """Blocks; raises VoxfleetError: a server that cannot read its keys must not begin."""
        self._store = store
        self._known = store.known()
        #: why the keys may not be those of the database; empty when they are
        self.fault = ""

    @property
    def any_ever(self) -> bool:
        """Whether there has been a key; then one is asked for, also when all are revoked."""
        return self._known.any_ever

    def find(self, presented: str) -> Key | None:
        """The valid key that these characters are."""
        if len(presented) != KEY_CHARS:
            return None
        return self._known.by_digest.get(digest_of(presented))

    def by_id(self, key_id: str) -> Key | None:
        """The valid key of that id."""
        return next((key for key in self._known.by_digest.values() if key.id == key_id), None)

    async def follow(self) -> None:
        """For ever: knows what a command changed about a second later."""
        while True:
            await asyncio.sleep(_RENEW_S)
            await self.renew()

    async def renew(self) -> None:
        """What cannot be read stays as it was: neither opens the server nor locks out everybody."""
        try:
            self._known = await asyncio.to_thread(self._store.known)
        except VoxfleetError as fault:
            if not self.fault:
                _log.error("keys stay as they were known: %s", fault.message)
            self.fault = fault.message
            return
        if self.fault:
            _log.info("keys can be read again")
        self.fault = ""
