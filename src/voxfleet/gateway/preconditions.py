"""What a client says must be so before its request is done: `If-Match`, `If-None-Match`. Pure.

Knows versions by their numbers, which are their entity tags; knows no list and no route.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from voxfleet.errors import VersionError

_ANY = "*"
#: proxies that compress an answer make its tag a weak one (W/), and people forget the quotes
_TAG = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')


@dataclass(frozen=True, slots=True)
class Precondition:
    """Tags of `If-Match` and of `If-None-Match`; None where the client sent no such header."""

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    def check(self, what: str, version: int | None) -> None:
        """Raises VersionError; `version` is the present one, None where there is none."""
        if self.match is not None and not _holds(self.match, version):
            raise VersionError(
                f"{what} {_present(version)}, which is not what If-Match says; GET it again and"
                " repeat the change"
            )
        if self.none_match is not None and _holds(self.none_match, version):
            raise VersionError(f"{what} {_present(version)}, which If-None-Match rules out")

    def has_seen(self, version: int) -> bool:
        """Whether a reader has this version already."""
        return self.none_match is not None and _holds(self.none_match, version)


def read_precondition(match: Sequence[str], none_match: Sequence[str]) -> Precondition:
    """From the values of the two headers, each of which may come several times."""
    return Precondition(_tags(match), _tags(none_match))


def tag_of(version: int) -> str:
    return f'"{version}"'


def _tags(values: Sequence[str]) -> frozenset[str] | None:
    if not values:
        return None
    return frozenset(quoted or bare for quoted, bare in _TAG.findall(",".join(values)))


def _holds(tags: frozenset[str], version: int | None) -> bool:
    return version is not None and (_ANY in tags or str(version) in tags)


def _present(version: int | None) -> str:
    return "is not there" if version is None else f"is at version {version}"
