"""Whether this server should be sent requests now: what the probes and operators are told.

Puts together what the service, the disk and a stop signal say; decides nothing about a request.
"""

from __future__ import annotations

from collections.abc import Callable

from voxfleet.gateway.api_schemas import SpeechService
from voxfleet.observe.disk_watch import DiskWatch


class Readiness:
    """`disk` None stands for a disk that nobody watches."""

    def __init__(
        self, service: SpeechService, disk: DiskWatch | None = None, min_free_disk_mb: int = 0
    ) -> None:
        self._service = service
        self._disk = disk
        self._min_free_disk_mb = min_free_disk_mb
        self.draining = False
        self._at_drain: list[Callable[[], object]] = []

    def at_drain(self, call: Callable[[], object]) -> None:
        """To be called when `drain` is."""
        self._at_drain.append(call)

    def drain(self) -> None:
        """From now on others should be sent the requests; those that come are still answered."""
        self.draining = True
        for call in self._at_drain:
            call()

    def reason(self) -> str:
        """Why not; empty when it should."""
        if self.draining:
            return "the server is stopping"
        return self._service.reason() or self.disk_fault()

    def disk_fault(self) -> str:
        """Empty unless there is known to be too little room for uploads and results."""
        free_mb = self._disk.free_mb if self._disk else None
        if free_mb is None or free_mb >= self._min_free_disk_mb:
            return ""
        return (
            f"the data directory's disk has {free_mb} MB free, less than"
            f" server.min_free_disk_mb = {self._min_free_disk_mb}"
        )
