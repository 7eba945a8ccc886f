"""The stages of a request and how long it is in each; told to the metrics and to its trace.

Knows neither what happens in a stage nor who keeps the figures.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Protocol, TypeVar

from voxfleet.observe.request_record import current_request

Result = TypeVar("Result")


class Stage(StrEnum):
    #: of the whole file, from its first byte to its last
    UPLOAD = "upload"
    #: of the whole file; segments are computed meanwhile
    DECODE = "decode"
    #: of one segment, in the queue
    WAIT = "wait"
    #: of one segment, with a worker: its batch, and the way there and back
    COMPUTE = "compute"
    #: segments put together as a text
    STITCH = "stitch"
    #: punctuation and number formatting
    TEXT = "text"


class StageMeter(Protocol):
    """Who keeps the figures."""

    def stage_took(self, stage: Stage, took_s: float) -> None: ...
    def sound_answered(self, model: str, audio_s: float) -> None: ...


class StageSum:
    """The stretches of one stage: only what is awaited through it counts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.took_s = 0.0
        self.ended_s = clock()

    async def during(self, work: Awaitable[Result]) -> Result:
        began_s = self._clock()
        try:
            return await work
        finally:
            self.ended_s = self._clock()
            self.took_s += self.ended_s - began_s

    async def each(self, source: AsyncIterable[Result]) -> AsyncIterator[Result]:
        """The same items; what their taker does with each does not count."""
        items = aiter(source)
        while True:
            try:
                item = await self.during(anext(items))
            except StopAsyncIteration:
                return
            yield item


class _Timed:
    """A class of its own, as a generator costs a request several times as much."""

    __slots__ = ("_began_s", "_clock", "_stage", "_stages")

    def __init__(self, stages: Stages, stage: Stage, clock: Callable[[], float]) -> None:
        self._stages, self._stage, self._clock = stages, stage, clock
        self._began_s = 0.0

    def __enter__(self) -> None:
        self._began_s = self._clock()

    def __exit__(self, *_: object) -> None:
        self._stages.spent(self._stage, self._clock() - self._began_s)


class Stages:
    """Without a meter, what is told here is told to nobody but the request's trace, if it has one.

    A stage counts however it ended.
    """

    def __init__(
        self, meter: StageMeter | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._meter = meter
        self._clock = clock

    def timed(self, stage: Stage) -> AbstractContextManager[None]:
        return _Timed(self, stage, self._clock)

    @contextmanager
    def summed(self, stage: Stage) -> Iterator[StageSum]:
        """A stage that a request goes through in stretches, told as one when all is over."""
        stretches = StageSum(self._clock)
        try:
            yield stretches
        finally:
            self.spent(stage, stretches.took_s, self._clock() - stretches.ended_s)

    def spent(self, stage: Stage, took_s: float, ended_ago_s: float = 0.0) -> None:
        """To be called by the request's own task, so that the right trace hears of it."""
        if self._meter is not None:
            self._meter.stage_took(stage, took_s)
        request = current_request.get()
        if request is not None and request.span is not None:
            request.span.child(stage, took_s, ended_ago_s)

    def answered(self, model: str, audio_s: float) -> None:
        """A request's sound has become text."""
        if self._meter is not None:
            self._meter.sound_answered(model, audio_s)
        request = current_request.get()
        if request is not None:
            request.model = model
            request.audio_s += audio_s


#: for whoever has nobody to tell, such as `voxfleet transcribe`
UNOBSERVED = Stages()
