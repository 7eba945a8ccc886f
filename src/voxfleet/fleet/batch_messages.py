"""A batch as a message to a worker, and a worker's answer as a result. Pure: no socket."""

from __future__ import annotations

from voxfleet.core import Batch, Hypothesis
from voxfleet.errors import EngineFaultError, RecognitionError, rebuild
from voxfleet.pool_contract import BatchResult
from voxfleet.wire.messages import Answer, Recognise, Recognised, SegmentOrder


def orders_of(batch: Batch) -> tuple[SegmentOrder, ...]:
    return tuple(
        SegmentOrder(segment.id, str(segment.path), segment.start_s, segment.options)
        for segment in batch.segments
    )


def recognise_message(batch: Batch) -> Recognise:
    return Recognise(batch.id, orders_of(batch))


def result_of(message: Recognised, batch: Batch) -> BatchResult | None:
    """None when the message is no answer to the batch at all."""
    if len(message.answers) != len(batch.segments) or message.compute_s < 0:
        return None
    results = tuple(_outcome(answer) for answer in message.answers)
    whole = tuple(outcome for outcome in results if outcome is not None)
    return BatchResult(whole, message.compute_s) if len(whole) == len(results) else None


def _outcome(answer: Answer) -> Hypothesis | RecognitionError | None:
    hypothesis, failure = answer.hypothesis, answer.failure
    if (hypothesis is None) == (failure is None):
        return None
    if failure is None:
        return hypothesis
    fault = rebuild(failure.code, failure.message, failure.param)
    # any other error of the worker is the engine's side failing, never the client's sound
    return fault if isinstance(fault, RecognitionError) else EngineFaultError(failure.message)
