"""The one interface a model has. Knows nothing of transport, queues, processes or asyncio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from voxfleet.core import EngineInfo, Hypothesis, Segment
from voxfleet.errors import RecognitionError

#: what an engine calls after each finished piece of a batch, from any thread; see Engine
Tick = Callable[[], None]


def no_tick() -> None:
    """For whoever does not watch an engine's progress."""


class Engine(Protocol):
    """A model: loaded once, warmed up once, then asked for batches by one thread of one process.

    An engine that works piece by piece (one segment, one pass over a device) is made with a Tick
    and calls it after each. A batch that ticks is being worked on, however long it takes; one that
    is neither answered nor ticks for several times what it should take is hung, and whoever watches
    ends its process. So a tick is owed to finished work, never to a wait.
    """

    @property
    def info(self) -> EngineInfo: ...

    def load(self) -> None:
        """Read the model; raises StartError naming what is missing."""
        ...

    def warm_up(self) -> None:
        """Run once on a realistic shape, so that the first request is not the slow one."""
        ...

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        """One answer per segment, in order; no answer depends on the segment's neighbours.

        Raises MemoryError where a smaller batch may still fit, and DeviceFaultError where this
        process can compute nothing more. Any other exception is taken for one segment's doing.
        """
        ...
