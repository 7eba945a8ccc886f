"""A worker process: one engine, asked for batches by the pool that started it.

`python -m voxfleet.worker ADDRESS NAME SETTINGS_JSON`. Knows no client and no queue. Whatever an
engine does wrong becomes an answer; the process ends only when it is told to or cannot load.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import msgspec

from voxfleet.core import BYTES_PER_SAMPLE, Hypothesis, Segment, Waveform
from voxfleet.engines.catalog import EngineOptions, make_engine
from voxfleet.engines.engine import Engine
from voxfleet.errors import EngineFaultError, RecognitionError, StartError, VoxfleetError
from voxfleet.wire.channel import Dial
from voxfleet.wire.child_process import die_with_parent
from voxfleet.wire.messages import (
    Answer,
    Failure,
    Recognise,
    Recognised,
    SegmentOrder,
    StartFailed,
    Stop,
    ToChild,
    WorkerReady,
)

#: the exit status that says: trying again will not help
START_FAILED_STATUS = 3
#: how soon a recorded signal is acted upon while there is no work
_IDLE_WAIT_S = 0.5
#: what has reached the socket already is out of it by then
_LAST_WAIT_S = 0.02
_log = logging.getLogger(__name__)

Outcome = Hypothesis | RecognitionError


class StopSignal:
    """Records SIGTERM; the loop asks for it between two batches."""

    def __init__(self) -> None:
        self.arrived = False

    def record(self, _number: int, _frame: FrameType | None) -> None:
        self.arrived = True


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
        text = "the model ran out of memory; use a larger device or a shorter audio.max_segment_s"
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
        return Answer(failure=_failure(outcome))
    return Answer(hypothesis=outcome)


def _failure(fault: VoxfleetError) -> Failure:
    return Failure(fault.code, fault.message, fault.param)


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


def serve(engine: Engine, dial: Dial, stop: StopSignal) -> None:
    dial.send(WorkerReady(engine.info, credit_s=engine.info.max_batch_s))
    while not stop.arrived:
        message = dial.receive(_IDLE_WAIT_S)
        if isinstance(message, Stop):
            break
        if message is not None:
            dial.send(_answer(engine, message))
    # the one batch that may have been sent before anyone knew that this process leaves; no more
    # than that, or a busy pool would keep it here for ever
    last = dial.receive(_LAST_WAIT_S)
    if last is not None and not isinstance(last, Stop):
        dial.send(_answer(engine, last))


def _answer(engine: Engine, message: ToChild) -> Recognised:
    if not isinstance(message, Recognise):
        raise TypeError(f"a worker cannot take {type(message).__name__}")
    began_s = time.monotonic()
    answers = tuple(to_answer(outcome) for outcome in answer_orders(engine, message.segments))
    return Recognised(message.batch_id, answers, time.monotonic() - began_s)


def main(arguments: Sequence[str]) -> int:
    die_with_parent()
    os.umask(0o077)
    address, name, settings_json = arguments
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {name} %(levelname)s %(message)s")
    stop = StopSignal()
    signal.signal(signal.SIGTERM, stop.record)
    options = msgspec.json.decode(settings_json, type=EngineOptions)
    dial = Dial(address, name)
    try:
        serve(load_engine(options), dial, stop)
    except VoxfleetError as fault:
        dial.send(StartFailed(_failure(fault)))
        return START_FAILED_STATUS
    finally:
        dial.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
