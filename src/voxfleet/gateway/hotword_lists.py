"""The hotword lists of this server, at hand for every request and kept in the database.

Nobody else writes them while the server runs, so that what is at hand is what is kept. Only one
thread at a time may change them, any may read. Knows no route.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Callable
from typing import TYPE_CHECKING

from voxfleet.errors import NotFoundError, RequestError
from voxfleet.gateway.hotword_names import MAX_NAME_CHARS, normal_name
from voxfleet.gateway.http_errors import shown
from voxfleet.gateway.preconditions import Precondition

if TYPE_CHECKING:
    # SQLAlchemy behind it is not for commands that serve nobody
    from voxfleet.store.hotword_store import HotwordList, HotwordStore

MAX_LISTS = 1000
_BESIDE = 2


class HotwordShelf:
    """`words` is what `expanded` asks; the rest is for the routes."""

    def __init__(self, store: HotwordStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        #: replaced as a whole, so that who reads it meanwhile sees one state
        self._present = {each.name: each for each in store.present()}

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
        present = self._present.get(name)
        precondition.check(f"hotword list {name!r}", present.version if present else None)
        if present is not None and present.words == words:
            return present, False
        if present is None and len(self._present) >= MAX_LISTS:
            raise RequestError(
                f"hotword list {name!r}: {MAX_LISTS} lists are all there may be; delete one first"
            )
        made = self._store.add(name, words, self._clock())
        self._present = {**self._present, name: made}
        return made, present is None

    def remove(self, name: str, precondition: Precondition) -> None:
        """Raises NotFoundError or VersionError."""
        precondition.check(f"hotword list {name!r}", self.find(name).version)
        self._store.remove(name, self._clock())
        self._present = {key: each for key, each in self._present.items() if key != name}

    def _instead(self, name: str) -> str:
        """By the alphabet: to compare a name with a thousand others takes a tenth of a second."""
        known = sorted(self._present)
        if not known:
            return "there is none at all"
        place = bisect(known, name)
        beside = known[max(0, place - _BESIDE) : place + _BESIDE]
        return f"beside it there are {', '.join(map(repr, beside))}"
