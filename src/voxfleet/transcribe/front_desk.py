"""Who is let in: counts the requests of a server and asks `admission` about one more.

Knows how many there are, and how many of them have not brought their sound yet; knows no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from voxfleet.errors import NotReadyError, OverloadError
from voxfleet.scheduling.admission import Load, refuse_crowd
from voxfleet.scheduling.backlog import Backlog
from voxfleet.transcribe.served_model import ModelList, ServedModel


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """`max_waiting` requests may always wait; more, up to `max_requests`, for `max_wait_s`."""

    max_waiting: int = 20
    max_wait_s: float = 30.0
    max_requests: int = 1000


class FrontDesk:
    def __init__(self, models: ModelList, limits: QueueLimits) -> None:
        self._models = models
        self._limits = limits
        self._backlog = Backlog()
        self._cut = 0
        self.requests = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place while a request is received and answered; raises OverloadError.

        Nobody knows yet which model it will name: it is refused where the quickest would refuse.
        """
        refusal = self._refusal()
        if refusal:
            raise refusal
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    def _refusal(self) -> OverloadError | None:
        limits = self._limits
        if self.requests <= limits.max_waiting:
            # one is in work, as there is always a worker: what waits need not be counted
            return None
        load = self._least_load()
        if load is None:
            return None
        return refuse_crowd(load, limits.max_waiting, limits.max_wait_s, limits.max_requests)

    def refuse_at(self, served: ServedModel) -> None:
        """Now that the model is known: raises OverloadError where that one is too busy.

        A single model was asked at the door.
        """
        if len(self._models.served) < 2:
            return
        limits = self._limits
        load = replace(self.load(served), requests=served.requests)
        refusal = refuse_crowd(load, limits.max_waiting, limits.max_wait_s, limits.max_requests)
        if refusal:
            raise refusal

    @contextmanager
    def sound_arrives(self) -> Iterator[None]:
        """From here on the request's sound lies in a queue and is seen there."""
        self._cut += 1
        try:
            yield
        finally:
            self._cut -= 1

    def finished(self, audio_s: float) -> None:
        """A request had so much sound."""
        self._backlog.finished(audio_s)

    def load(self, served: ServedModel) -> Load:
        uncut = max(0, self.requests - self._cut)
        return served.load(self.requests, self._backlog.expected_s(uncut))

    def _least_load(self) -> Load | None:
        loads: list[Load] = []
        for served in self._models:
            try:
                loads.append(self.load(served))
            except NotReadyError:
                # not loaded yet: the request will be told so
                continue
        if not loads:
            return None
        # places are the server's, whichever model they are for
        workers = sum(load.workers for load in loads)
        return replace(min(loads, key=lambda load: load.wait_s), workers=workers)
