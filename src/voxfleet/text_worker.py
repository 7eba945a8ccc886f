"""A text worker process: the text engines of a server, asked for batches by the pool above it.

Knows no transcript, no client and no queue. Whatever an engine does wrong becomes an answer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence

import msgspec

from voxfleet.engines.engine import Tick, no_tick
from voxfleet.engines.text_catalog import TextEngineOptions, make_text_engines
from voxfleet.engines.text_engine import TextEngine
from voxfleet.errors import (
    DeviceFaultError,
    EngineFaultError,
    RecognitionError,
    StartError,
    VoxfleetError,
)
from voxfleet.wire.heartbeat import Progress
from voxfleet.wire.messages import (
    ProcessTexts,
    TextAnswer,
    TextsProcessed,
    TextWorkerReady,
    ToChild,
)
from voxfleet.worker_process import failure_of, run_worker

_log = logging.getLogger(__name__)

TextOutcome = str | RecognitionError


class TextServant:
    """Loaded text engines by name, as the process around them sees them."""

    def __init__(self, engines: Mapping[str, TextEngine], tick: Tick = no_tick) -> None:
        self._engines = engines
        self._tick = tick

    def ready(self) -> TextWorkerReady:
        return TextWorkerReady(tuple(self._engines))

    def answer(self, message: ToChild) -> TextsProcessed:
        if not isinstance(message, ProcessTexts):
            raise TypeError(f"a text worker cannot take {type(message).__name__}")
        engine = self._engines[message.engine]
        outcomes = process_safely(message.engine, engine, message.texts, self._tick)
        return TextsProcessed(message.batch_id, tuple(map(to_answer, outcomes)))


def process_safely(
    name: str, engine: TextEngine, texts: Sequence[str], tick: Tick = no_tick
) -> list[TextOutcome]:
    """As many outcomes as texts, whatever the engine does; one text never fails another.

    Only DeviceFaultError gets out. Part by part, where the whole does not go: `tick` is called for
    each part tried.
    """
    try:
        answers: list[object] = list(engine.process(texts))
    except RecognitionError as fault:
        return [fault] * len(texts)
    except DeviceFaultError:
        raise
    except Exception as fault:  # noqa: BLE001 - an engine may raise anything; we serve on
        if len(texts) <= 1:
            return [_engine_fault(name, text, fault) for text in texts]
        _log.warning("%s: a batch of %d failed, now in halves: %r", name, len(texts), fault)
    else:
        return _outcomes(name, answers, len(texts))
    finally:
        tick()
    half = len(texts) // 2
    parts = (texts[:half], texts[half:])
    return [outcome for part in parts for outcome in process_safely(name, engine, part, tick)]


def _engine_fault(name: str, given: str, fault: Exception) -> EngineFaultError:
    if isinstance(fault, MemoryError):
        text = "the engine ran out of memory; use a larger device"
    else:
        text = f"the engine failed ({type(fault).__name__}); the text worker's log says more"
    _log.error("%s: a text of %d characters: %s", name, len(given), text, exc_info=fault)
    return EngineFaultError(text)


def _outcomes(name: str, answers: Sequence[object], count: int) -> list[TextOutcome]:
    if len(answers) == count:
        return [_checked(answer) for answer in answers]
    text = f"the engine gave {len(answers)} answers to {count} texts"
    _log.error("%s: %s", name, text)
    return [EngineFaultError(text) for _ in range(count)]


def _checked(answer: object) -> TextOutcome:
    if isinstance(answer, RecognitionError):
        return answer
    if not isinstance(answer, str):
        return EngineFaultError(f"the engine answered with {type(answer).__name__}, not with text")
    try:
        answer.encode()
    except UnicodeEncodeError:
        return EngineFaultError("the engine gave half a character, which is no text")
    return answer


def to_answer(outcome: TextOutcome) -> TextAnswer:
    if isinstance(outcome, RecognitionError):
        return TextAnswer(failure=failure_of(outcome))
    return TextAnswer(text=outcome)


def load_text_engines(options: TextEngineOptions) -> dict[str, TextEngine]:
    """Make, load and warm up all; raises VoxfleetError, whatever an engine raises."""
    engines = make_text_engines(options)
    for name, engine in engines.items():
        try:
            engine.load()
            engine.warm_up()
        except VoxfleetError:
            raise
        except Exception as fault:
            _log.exception("text engine %s cannot be loaded", name)
            text = f"text engine {name} cannot be loaded: {type(fault).__name__}: {fault}"
            raise StartError(" ".join(text.split())) from fault
    return engines


def _load(settings_json: str, progress: Progress) -> TextServant:
    options = msgspec.json.decode(settings_json, type=TextEngineOptions)
    return TextServant(load_text_engines(options), progress.tick)


if __name__ == "__main__":
    sys.exit(run_worker(sys.argv[1:], _load))
