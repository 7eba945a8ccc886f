"""The server's certificate and key, read at start and again whenever their files change.

A certificate is renewed every few weeks, and nobody should have to restart a server for it. Knows
no server: whoever listens takes `context`, which stays the same.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from voxfleet.errors import StartError

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 30.0

#: size and time of change of both files
Stamp = tuple[tuple[int, int], ...]


class TlsFiles:
    """Raises StartError, in one line, where the files are of no use."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp: Stamp = ()
        #: those that were tried last and of no use
        self._failed: Stamp = ()
        try:
            self._stamp = self._look()
            self._load()
        except (OSError, ValueError) as fault:
            raise StartError(self._told(fault)) from None

    async def follow(self) -> None:
        """For ever: new connections get what lies in the files now."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await asyncio.to_thread(self.reload_if_changed)

    def reload_if_changed(self) -> None:
        """Files that are of no use, as while they are being written, leave what was loaded."""
        try:
            stamp = self._look()
            if stamp in (self._stamp, self._failed):
                return
            self._failed = stamp
            self._check()
            self._load()
        except (OSError, ValueError) as fault:
            _log.error("%s; the certificate loaded before stays in use", self._told(fault))
            return
        self._stamp = stamp
        _log.info("the changed certificate %s is in use", self._files[0])

    def _look(self) -> Stamp:
        stats = [file.stat() for file in self._files]
        return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)

    def _check(self) -> None:
        # a context that fails to load half a pair is left with the other half
        _load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *self._files)

    def _load(self) -> None:
        _load_pair(self.context, *self._files)

    def _told(self, fault: Exception) -> str:
        certificate, key = self._files
        return (
            f"server.tls_cert {certificate} and server.tls_key {key} cannot be used: {fault}; name"
            " PEM files that belong together, the key without a password"
        )


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def refuse_password() -> str:
        # asked at the terminal it would stop the server for ever
        raise ValueError("the key has a password")

    context.load_cert_chain(certificate, key, refuse_password)
