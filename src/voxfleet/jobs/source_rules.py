"""Which places references may name, each in one spelling. Pure; looks at no disk and no network.

A reference is a path, `s3://`, `oss://`, `http://` or `https://`, and lies under a place that the
setting `jobs.sources` names. What a path leads to (a link, say) is judged when it is opened.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from voxfleet.errors import ParameterError, StartError

_MAX_CHARS = 4096
_SHOWN_CHARS = 200
_OBJECT = re.compile(r"(?P<origin>(?:s3|oss)://[A-Za-z0-9][A-Za-z0-9._-]{1,62})(?P<key>/.*)?")
_HTTP = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
#: a dot, a slash, a backslash or NUL that only some servers see, written once or several times over
_HIDDEN = re.compile(r"%(?:25)*(?:2e|2f|5c|00)", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class _MisspeltError(ValueError):
    """Why a text names no place; continues "the reference …"."""


@dataclass(frozen=True, slots=True)
class _Place:
    """`origin` is "" for a path, else all before the path: scheme, and bucket or host."""

    origin: str
    path: str
    query: str = ""

    def is_under(self, folder: _Place) -> bool:
        top = folder.path.rstrip("/")
        return self.origin == folder.origin and (
            self.path == top or self.path.startswith(f"{top}/")
        )

    def __str__(self) -> str:
        return f"{self.origin}{self.path}{self.query}"


class SourceRules:
    """`allowed` is the setting; raises StartError for what is no place."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = tuple(_folder(text) for text in allowed)

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of this machine."""
        return tuple(folder.path for folder in self._allowed if not folder.origin)

    def understood(self, reference: str) -> str:
        """The one spelling of the place; raises ParameterError where none or not allowed.

        What it gives is understood again as itself.
        """
        if not self._allowed:
            raise ParameterError(
                "sources: this server takes no references (jobs.sources is empty); upload the"
                " files, or ask its operator to set it",
                param="sources",
            )
        try:
            place = _parsed(reference)
        except _MisspeltError as fault:
            raise ParameterError(
                f"sources: the reference {_shown(reference)} {fault}", param="sources"
            ) from None
        if not any(place.is_under(folder) for folder in self._allowed):
            raise not_allowed(reference)
        return str(place)


def not_allowed(reference: str) -> ParameterError:
    """Says nothing about what is there."""
    return ParameterError(
        f"sources: the reference {_shown(reference)} is in no place that this server's setting"
        " jobs.sources allows; upload the file, or ask its operator to allow the place",
        param="sources",
    )


def is_http(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _shown(reference: str) -> str:
    """Without the query, which may be a signature that opens the place."""
    text = reference.partition("?")[0]
    return ascii(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")


def _folder(text: str) -> _Place:
    try:
        place = _parsed(text)
        if place.query:
            raise _MisspeltError("has a query, and a folder has none")
    except _MisspeltError as fault:
        raise StartError(f"jobs.sources: the place {_shown(text)} {fault}") from None
    return place


def _parsed(text: str) -> _Place:
    if len(text) > _MAX_CHARS:
        raise _MisspeltError(f"is longer than {_MAX_CHARS} characters; name a shorter one")
    if _CONTROL.search(text):
        raise _MisspeltError("has control characters or is not UTF-8; write it without")
    if text.startswith("/"):
        return _path(text)
    scheme = text.partition("://")[0].lower()
    if scheme in _PORTS:
        return _http(text)
    return _object(text)


def _path(text: str) -> _Place:
    if ".." in text.split("/"):
        raise _MisspeltError("goes up with '..'; write the path it leads to")
    # two slashes at the beginning stay as they are for normpath
    return _Place("", posixpath.normpath(f"/{text.lstrip('/')}"))


def _object(text: str) -> _Place:
    found = _OBJECT.fullmatch(text)
    if found is None:
        raise _MisspeltError(
            "is neither an absolute path nor s3://bucket/key, oss://bucket/key, http:// or https://"
        )
    key = (found["key"] or "").rstrip("/")
    if re.search(r"[?#\\]|::", key):
        raise _MisspeltError("has one of ? # \\ :: in its key; give the object another name")
    if any(part in {"", ".", ".."} for part in key.split("/")[1:]):
        raise _MisspeltError("has an empty part, '.' or '..' in its key; write it without")
    return _Place(found["origin"], key)


def _http(text: str) -> _Place:
    found = _HTTP.fullmatch(text)
    if found is None or not text.isascii() or " " in text:
        raise _MisspeltError(
            "is no URL with a host and without user and fragment, in characters of ASCII;"
            " percent-encode the rest"
        )
    path = found["path"] or "/"
    _check_path(path)
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port <= _MAX_PORT:
        raise _MisspeltError(f"has a port that is not between 1 and {_MAX_PORT}; name another")
    shown_port = "" if port == _PORTS[scheme] else f":{port}"
    return _Place(f"{scheme}://{found['host'].lower()}{shown_port}", path, found["query"] or "")


def _check_path(path: str) -> None:
    """Refuses what a server may understand as another path than the one that is judged here."""
    if "\\" in path or _HIDDEN.search(path) or _BAD_ESCAPE.search(path):
        raise _MisspeltError(
            "has a backslash, or an encoded dot or slash, in its path; write it plainly"
        )
    if any(part.partition(";")[0] in {".", ".."} for part in path.split("/")):
        raise _MisspeltError("has '.' or '..' in its path; write the path it leads to")
