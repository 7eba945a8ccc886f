"""The one interface a model has. Knows nothing of transport, queues, processes or asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from voxfleet.core import EngineInfo, Hypothesis, Segment
from voxfleet.errors import RecognitionError


class Engine(Protocol):
    """A model: loaded once, warmed up once, then asked for batches by one thread of one process."""

    @property
    def info(self) -> EngineInfo: ...

    def load(self) -> None:
        """Read the model; raises StartError naming what is missing."""
        ...

    def warm_up(self) -> None:
        """Run once on a realistic shape, so that the first request is not the slow one."""
        ...

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        """One answer per segment, in order; no answer depends on the segment's neighbours."""
        ...
