"""Says once that something has begun to fail, and once that it works again. Knows no cause."""

from __future__ import annotations

import logging

from voxfleet.errors import VoxfleetError

_log = logging.getLogger(__name__)


class OutageNote:
    """`what` begins the line in the log: "files of jobs cannot be claimed"."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.failures = 0

    def failed(self, fault: VoxfleetError) -> None:
        self.failures += 1
        if self.failures == 1:
            _log.warning("%s: %s; it is tried again", self._what, fault.message)

    def worked(self) -> None:
        if self.failures:
            _log.info("%s: that is over, after %d failures", self._what, self.failures)
        self.failures = 0
