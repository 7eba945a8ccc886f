"""A worker process: one engine, asked for batches by the pool that started it.

Knows no client and no queue. Whatever an engine does wrong becomes an answer; the process ends only
when it is told to or cannot load.
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
from voxfleet.engines.engine import Engine
from voxfleet.errors import EngineFaultError, RecognitionError, StartError, VoxfleetError
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
    read = [_read(order) for order in orders]
    segments = [segment for segment in read if isinstance(segment, Segment)]
    outcomes = iter(recognise_safely(engine, segments) if segments else [])
    return [next(outcomes) if isinstance(item, Segment) else item for item in read]


def recognise_safely(engine: Engine, segments: Sequence[Segment]) -> list[Outcome]:
    """As many outcomes as segments, whatever the engine does; one segment never fails another."""
    try:
        answers: list[object] = list(engine.recognise(segments))
    except RecognitionError as fault:
        return [fault] * len(segments)
    except Exception as fault:  # noqa: BLE001 - an engine may raise anything; the process serves on
        return _after_exception(engine, segments, fault)
    if len(answers) != len(segments):
        text = f"the engine gave {len(answers)} answers to {len(segments)} segments"
        _log.error("%s", text)
        return [EngineFaultError(f"{text}; the worker's log says when") for _ in segments]
    return [_checked(answer) for answer in answers]


def _after_exception(
    engine: Engine, segments: Sequence[Segment], fault: Exception
) -> list[Outcome]:
    if len(segments) > 1:
        _log.warning("a batch of %d failed, now one by one: %r", len(segments), fault)
        return [recognise_safely(engine, [segment])[0] for segment in segments]
    if isinstance(fault, MemoryError):
        said = f": {fault}" if str(fault) else ""
        remedy = "use a larger device or a shorter audio.max_segment_s"
        text = f"the model ran out of memory{said}; {remedy}"
    else:
        text = f"the engine failed ({type(fault).__name__}); the worker's log says more"
    _log.error("segment %s: %s", segments[0].id, text, exc_info=fault)
    return [EngineFaultError(text)]


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


def load_engine(options: EngineOptions) -> Engine:
    """Make, load and warm up; raises VoxfleetError, whatever the engine raises."""
    try:
        engine = make_engine(options.model, options)
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

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ready(self) -> WorkerReady:
        return WorkerReady(self._engine.info, credit_s=self._engine.info.max_batch_s)

    def answer(self, message: ToChild) -> Recognised:
        if not isinstance(message, Recognise):
            raise TypeError(f"a worker cannot take {type(message).__name__}")
        began_s = time.monotonic()
        outcomes = answer_orders(self._engine, message.segments)
        answers = tuple(to_answer(outcome) for outcome in outcomes)
        return Recognised(message.batch_id, answers, time.monotonic() - began_s)


def _load(settings_json: str) -> EngineServant:
    return EngineServant(load_engine(msgspec.json.decode(settings_json, type=EngineOptions)))


if __name__ == "__main__":
    sys.exit(run_worker(sys.argv[1:], _load))
