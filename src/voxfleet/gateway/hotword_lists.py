"""The hotword lists of this server, at hand for every request and kept in the database.

Other servers may write into the same database: then what is at hand is a second old at most, and a
change is made only to what this server has seen. Only one thread at a time may change or renew
them, any may read. Knows no route.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from bisect import bisect
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from voxfleet.errors import NotFoundError, RequestError, VersionError, VoxfleetError
from voxfleet.gateway.hotword_names import MAX_NAME_CHARS, normal_name
from voxfleet.gateway.http_errors import shown
from voxfleet.gateway.preconditions import Precondition

if TYPE_CHECKING:
    # SQLAlchemy behind it is not for commands that serve nobody
    from voxfleet.store.hotword_store import HotwordList, HotwordStore

_log = logging.getLogger(__name__)

Done = TypeVar("Done")

MAX_LISTS = 1000
_BESIDE = 2
_RENEW_S = 1.0
#: how often a change is tried that another server was quicker with
_TRIES = 5


class _ChangedElsewhereError(Exception):
    """The database has another version than this server knew of."""


class HotwordShelf:
    """`words` is what `expanded` asks; the rest is for the routes."""

    def __init__(self, store: HotwordStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        #: replaced as a whole, so that who reads it meanwhile sees one state
        self._present = {each.name: each for each in store.present()}
        self._changing = threading.Lock()
        self._readable = True

    async def follow(self) -> None:
        """For ever: knows what another server changed about a second later."""
        while True:
            await asyncio.sleep(_RENEW_S)
            try:
                await asyncio.to_thread(self.renew)
            except VoxfleetError as fault:
                if self._readable:
                    _log.error("hotword lists stay as they were known: %s", fault.message)
                self._readable = False
                continue
            if not self._readable:
                _log.info("hotword lists can be read again")
            self._readable = True

    def renew(self) -> None:
        """Reads what is not known yet; blocks, raises VoxfleetError."""
        with self._changing:
            self._renew()

    def _renew(self) -> None:
        before = self._present
        now = self._store.present_versions()
        known = {name: each for name, each in before.items() if now.get(name) == each.version}
        found = [self._store.find(name, now[name]) for name in now.keys() - known.keys()]
        if found or len(known) < len(before):
            self._present = known | {each.name: each for each in found if each is not None}

    def words(self, list_name: str) -> tuple[str, ...]:
        return self.find(normal_name(list_name)).words

    def all(self) -> tuple[HotwordList, ...]:
        return tuple(self._present[name] for name in sorted(self._present))

    def find(self, name: str) -> HotwordList:
        """The list as it is now; raises NotFoundError, which names its neighbours."""
        found = self._present.get(name)
        if found is None:
            raise NotFoundError(
                f"there is no hotword list '{shown(name, MAX_NAME_CHARS)}'; {self._instead(name)}",
                param="name",
            )
        return found

    def find_version(self, name: str, version: int) -> HotwordList:
        """Reads the database where it is not the present one; raises NotFoundError."""
        present = self.find(name)
        found = present if version == present.version else self._store.find(name, version)
        if found is None:
            kept = ", ".join(map(str, self._store.versions(name)))
            raise NotFoundError(
                f"hotword list {name!r}: version {version} is not kept; there are: {kept}",
                param="version",
            )
        return found

    def put(
        self, name: str, words: tuple[str, ...], precondition: Precondition
    ) -> tuple[HotwordList, bool]:
        """The list with these words, and whether it is a new list; the same words change nothing.

        Raises VersionError, or RequestError when there are too many lists.
        """
        return self._upon_what_is_there(name, lambda: self._put(name, words, precondition))

    def remove(self, name: str, precondition: Precondition) -> None:
        """Raises NotFoundError or VersionError."""
        self._upon_what_is_there(name, lambda: self._remove(name, precondition))

    def _upon_what_is_there(self, name: str, change: Callable[[], Done]) -> Done:
        """Made to what the database has, whoever changes it beside us."""
        with self._changing:
            for _ in range(_TRIES):
                try:
                    return change()
                except _ChangedElsewhereError:
                    self._renew()
        raise VersionError(
            f"hotword list {name!r}: other servers change it all the time; try again later"
        )

    def _put(
        self, name: str, words: tuple[str, ...], precondition: Precondition
    ) -> tuple[HotwordList, bool]:
        present = self._present.get(name)
        precondition.check(f"hotword list {name!r}", present.version if present else None)
        if present is not None and present.words == words:
            return present, False
        if present is None and len(self._present) >= MAX_LISTS:
            raise RequestError(
                f"hotword list {name!r}: {MAX_LISTS} lists are all there may be; delete one first"
            )
        made = self._store.add(name, words, self._clock(), _only(present))
        self._present = {**self._present, name: made}
        return made, present is None

    def _remove(self, name: str, precondition: Precondition) -> None:
        present = self.find(name)
        precondition.check(f"hotword list {name!r}", present.version)
        self._store.remove(name, self._clock(), _only(present))
        self._present = {key: each for key, each in self._present.items() if key != name}

    def _instead(self, name: str) -> str:
        """By the alphabet: to compare a name with a thousand others takes a tenth of a second."""
        known = sorted(self._present)
        if not known:
            return "there is none at all"
        place = bisect(known, name)
        beside = known[max(0, place - _BESIDE) : place + _BESIDE]
        return f"beside it there are {', '.join(map(repr, beside))}"


def _only(known: HotwordList | None) -> Callable[[int | None], None]:
    expected = known.version if known else None

    def check(present: int | None) -> None:
        if present != expected:
            raise _ChangedElsewhereError

    return check
