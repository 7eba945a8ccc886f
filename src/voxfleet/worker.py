"""A worker process: one engine, asked for batches by the pool that started it.

Knows no client and no queue. Whatever an engine does wrong becomes an answer; the process ends only
when it is told to, cannot load or has lost its device.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from voxfleet.core import BYTES_PER_SAMPLE, Hypothesis, Segment, Waveform
from voxfleet.engines.catalog import EngineOptions, make_engine
from voxfleet.engines.engine import Engine, Tick, no_tick
from voxfleet.errors import (
    DeviceFaultError,
    EngineFaultError,
    RecognitionError,
    StartError,
    VoxfleetError,
)
from voxfleet.wire.heartbeat import Progress
from voxfleet.wire.messages import (
    Answer,
    Recognise,
    Recognised,
    SegmentOrder,
    ToChild,
    WorkerReady,
)
from voxfleet.worker_process import failure_of, run_worker

_log = logging.getLogger(__name__)

Outcome = Hypothesis | RecognitionError


def answer_orders(engine: Engine, orders: Sequence[SegmentOrder]) -> list[Outcome]:
    """One outcome per order, in order; a file that cannot be read fails only its own segment."""
    return Attempt(engine).answer(orders)


class Attempt:
    """One batch put to an engine that may do anything: as many outcomes as segments come back.

    Only DeviceFaultError gets out. Part by part, where the whole does not go: `tick` is called for
    each part tried, and `out_of_memory` counts those that had no room.
    """

    def __init__(self, engine: Engine, tick: Tick = no_tick) -> None:
        self._engine = engine
        self._tick = tick
        self.out_of_memory = 0

    def answer(self, orders: Sequence[SegmentOrder]) -> list[Outcome]:
        """One outcome per order, in order; a file that cannot be read fails only its own."""
        read = [_read(order) for order in orders]
        segments = [segment for segment in read if isinstance(segment, Segment)]
        outcomes = iter(self.recognise(segments) if segments else [])
        return [next(outcomes) if isinstance(item, Segment) else item for item in read]

    def recognise(self, segments: Sequence[Segment]) -> list[Outcome]:
        """As many outcomes as segments, in order; one segment never fails another."""
        try:
            answers: list[object] = list(self._engine.recognise(segments))
        except RecognitionError as fault:
            return [fault] * len(segments)
        except DeviceFaultError:
            raise
        except Exception as fault:  # noqa: BLE001 - an engine may raise anything; we serve on
            self.out_of_memory += isinstance(fault, MemoryError)
            if len(segments) <= 1:
                return [_engine_fault(segment, fault) for segment in segments]
            _log.warning("a batch of %d failed, now in halves: %r", len(segments), fault)
        else:
            if len(answers) == len(segments) or len(segments) <= 1:
                return _outcomes(answers, len(segments))
            # whose answer is missing is not known: in halves, until it stands alone
            _log.warning("%d answers to %d segments, now in halves", len(answers), len(segments))
        finally:
            self._tick()
        # not before here: the fault's frames hold what the batch took of the memory
        half = len(segments) // 2
        return self.recognise(segments[:half]) + self.recognise(segments[half:])


def _engine_fault(segment: Segment, fault: Exception) -> EngineFaultError:
    if isinstance(fault, MemoryError):
        said = f": {fault}" if str(fault) else ""
        remedy = "use a larger device or a shorter audio.max_segment_s"
        text = f"the model ran out of memory{said}; {remedy}"
    else:
        text = f"the engine failed ({type(fault).__name__}); the worker's log says more"
    _log.error("segment %s: %s", segment.id, text, exc_info=fault)
    return EngineFaultError(text)


def _outcomes(answers: Sequence[object], count: int) -> list[Outcome]:
    if len(answers) == count:
        return [_checked(answer) for answer in answers]
    text = f"the engine gave {len(answers)} answers to {count} segments"
    _log.error("%s", text)
    return [EngineFaultError(f"{text}; the worker's log says when") for _ in range(count)]


def _checked(answer: object) -> Outcome:
    if not isinstance(answer, Hypothesis | RecognitionError):
        return EngineFaultError(f"the engine answered with {type(answer).__name__}, not with text")
    try:
        # annotations bind no engine: what cannot travel, or not arrive, is found here
        msgspec.msgpack.decode(msgspec.msgpack.encode(to_answer(answer)), type=Answer)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as fault:
        _log.error("the engine's answer cannot be sent: %s", fault)
        return EngineFaultError("the engine gave an answer that is no text; the log says more")
    return answer


def _read(order: SegmentOrder) -> Segment | EngineFaultError:
    import numpy as np

    path = Path(order.path)
    try:
        sound = path.read_bytes()
    except OSError as fault:
        return EngineFaultError(f"spool file {path.name}: cannot be read: {fault.strerror}")
    if len(sound) % BYTES_PER_SAMPLE:
        return EngineFaultError(f"spool file {path.name}: breaks off inside a sample")
    samples = np.frombuffer(sound, "<i2").astype(np.int16, copy=False)
    return Segment(order.id, Waveform(samples, order.start_s), order.options)


def to_answer(outcome: Outcome) -> Answer:
    if isinstance(outcome, RecognitionError):
        return Answer(failure=failure_of(outcome))
    return Answer(hypothesis=outcome)


def load_engine(options: EngineOptions, tick: Tick = no_tick) -> Engine:
    """Make, load and warm up; raises VoxfleetError, whatever the engine raises."""
    try:
        engine = make_engine(options.model, options, tick)
        engine.load()
        engine.warm_up()
    except VoxfleetError:
        raise
    except Exception as fault:
        _log.exception("model %s cannot be loaded", options.model)
        text = f"model {options.model} cannot be loaded: {type(fault).__name__}: {fault}"
        raise StartError(" ".join(text.split())) from fault
    return engine


class EngineServant:
    """One loaded engine, as the process around it sees it."""

    def __init__(self, engine: Engine, tick: Tick = no_tick) -> None:
        self._engine = engine
        self._tick = tick

    def ready(self) -> WorkerReady:
        return WorkerReady(self._engine.info, credit_s=self._engine.info.max_batch_s)

    def answer(self, message: ToChild) -> Recognised:
        if not isinstance(message, Recognise):
            raise TypeError(f"a worker cannot take {type(message).__name__}")
        began_s = time.monotonic()
        attempt = Attempt(self._engine, self._tick)
        answers = tuple(to_answer(outcome) for outcome in attempt.answer(message.segments))
        compute_s = time.monotonic() - began_s
        return Recognised(message.batch_id, answers, compute_s, attempt.out_of_memory)


def _load(settings_json: str, progress: Progress) -> EngineServant:
    options = msgspec.json.decode(settings_json, type=EngineOptions)
    return EngineServant(load_engine(options, progress.tick), progress.tick)


if __name__ == "__main__":
    sys.exit(run_worker(sys.argv[1:], _load))
