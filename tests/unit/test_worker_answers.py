"""A worker makes an answer of whatever its engine does, and a pool an outcome of every answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from tests.integration.worker_rig import noise, segment
from voxfleet.core import (
    Batch,
    EngineInfo,
    Hypothesis,
    RecognitionOptions,
    Segment,
    SpooledSegment,
    Word,
)
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import (
    DeviceFaultError,
    EngineFaultError,
    NotFoundError,
    RecognitionError,
    StartError,
)
from voxfleet.fleet.batch_messages import recognise_message, result_of
from voxfleet.wire.channel import Dial
from voxfleet.wire.heartbeat import Progress
from voxfleet.wire.messages import (
    Answer,
    Failure,
    FromChild,
    Recognise,
    Recognised,
    SegmentOrder,
    Stop,
    ToChild,
    WorkerReady,
)
from voxfleet.worker import Attempt, EngineServant, Outcome, load_engine, to_answer
from voxfleet.worker_process import StopSignal, serve

Recogniser = Callable[[Sequence[Segment]], object]
SEGMENTS = [segment(noise(0.1), name) for name in "abc"]
EIGHT = [segment(noise(0.1), name) for name in "abcdefgh"]
HEARD = Hypothesis("text")
BATCH = Batch("b1", (SpooledSegment("s", Path("/x"), 1.5, 160),))


class Played:
    """An engine whose recognising is a function, and who counts how often it was asked."""

    info = EngineInfo("played", ("en",), 1.0)

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser = recogniser
        self.asked: list[int] = []

    def load(self) -> None: ...
    def warm_up(self) -> None: ...

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        self.asked.append(len(batch))
        return cast("list[Hypothesis | RecognitionError]", self.recogniser(batch))


def no_room_for_two(batch: Sequence[Segment]) -> object:
    if len(batch) > 1:
        raise MemoryError
    return [Hypothesis(batch[0].id)]


def recognise_safely(engine: Played, segments: Sequence[Segment]) -> list[Outcome]:
    return Attempt(engine).recognise(segments)


def test_too_large_a_batch_is_halved_until_it_fits_and_each_time_counts() -> None:
    engine, progress = Played(no_room_for_two), Progress()
    attempt = Attempt(engine, progress.tick)
    assert attempt.recognise(SEGMENTS) == [Hypothesis(name) for name in "abc"]
    assert engine.asked == [3, 1, 2, 1, 1]
    assert attempt.out_of_memory == 2
    # whoever watches sees that the parts are worked on
    assert progress.count == len(engine.asked)


def test_one_segment_that_does_not_fit_is_its_own_fault() -> None:
    def no_room_for_b(batch: Sequence[Segment]) -> object:
        if any(item.id == "b" for item in batch):
            raise MemoryError("2 GiB")
        return [HEARD for _ in batch]

    attempt = Attempt(Played(no_room_for_b))
    first, second, third = attempt.recognise(SEGMENTS)
    assert (first, third) == (HEARD, HEARD)
    assert isinstance(second, EngineFaultError)
    assert "ran out of memory: 2 GiB" in second.message
    assert attempt.out_of_memory == 3


@pytest.mark.parametrize("bad", "abcdefgh")
def test_one_poisonous_segment_of_many_is_found_by_halves_and_fails_alone(bad: str) -> None:
    def poisoned(batch: Sequence[Segment]) -> object:
        if any(item.id == bad for item in batch):
            raise KeyError(bad)
        return [Hypothesis(item.id) for item in batch]

    engine = Played(poisoned)
    attempt = Attempt(engine)
    outcomes = attempt.recognise(EIGHT)
    faults = [outcome for outcome in outcomes if isinstance(outcome, EngineFaultError)]
    assert outcomes == [faults[0] if s.id == bad else Hypothesis(s.id) for s in EIGHT]
    assert "KeyError" in faults[0].message
    assert sorted(engine.asked, reverse=True) == [8, 4, 4, 2, 2, 1, 1]
    assert attempt.out_of_memory == 0


@pytest.mark.parametrize("segments", [SEGMENTS, SEGMENTS[:1]])
def test_a_lost_device_is_not_answered_for(segments: Sequence[Segment]) -> None:
    def lost(_: Sequence[Segment]) -> object:
        raise DeviceFaultError("gone")

    engine = Played(lost)
    with pytest.raises(DeviceFaultError):
        recognise_safely(engine, segments)
    assert engine.asked == [len(segments)]


def test_lack_of_memory_is_told_with_the_answers(tmp_path: Path) -> None:
    orders = []
    for name in "ab":
        path = tmp_path / name
        path.write_bytes(noise(0.1).tobytes())
        orders.append(SegmentOrder(name, str(path), 0.0, RecognitionOptions()))
    servant = EngineServant(Played(no_room_for_two))
    answered = servant.answer(Recognise("b1", tuple(orders)))
    assert answered.out_of_memory == 1
    assert [answer.hypothesis for answer in answered.answers] == [Hypothesis("a"), Hypothesis("b")]


def test_a_changeling_passes_the_check_and_is_no_message() -> None:
    engine = load_engine(EngineOptions("fake", fake=FakeOptions(fault="corrupt")))
    answers = tuple(map(to_answer, Attempt(engine).recognise(SEGMENTS)))
    sent = msgspec.msgpack.encode(Recognised("b1", answers, 0.5))
    with pytest.raises(msgspec.DecodeError):
        msgspec.msgpack.decode(sent, type=FromChild)


def test_a_refusal_of_the_whole_batch_is_everybodys() -> None:
    fault = RecognitionError("no speech in any of them")

    def refuse(_: Sequence[Segment]) -> object:
        raise fault

    assert recognise_safely(Played(refuse), SEGMENTS) == [fault] * 3


@pytest.mark.parametrize("missing", [1, -1])
def test_a_wrong_count_is_nobodys_text_and_costs_only_whom_it_comes_with(missing: int) -> None:
    """As many answers as it should, but for a batch that holds the bad segment."""

    def answers(batch: Sequence[Segment]) -> list[Hypothesis]:
        bad = any(segment.id == SEGMENTS[1].id for segment in batch)
        return [HEARD] * (len(batch) - missing * bad)

    outcomes = recognise_safely(Played(answers), SEGMENTS)
    assert [type(outcome) for outcome in outcomes] == [Hypothesis, EngineFaultError, Hypothesis]


def test_what_is_no_outcome_is_a_fault() -> None:
    first, second, _ = recognise_safely(Played(lambda _: ["text", HEARD, HEARD]), SEGMENTS)
    assert isinstance(first, EngineFaultError)
    assert second == HEARD


@pytest.mark.parametrize(
    "odd",
    [
        Hypothesis(cast("str", b"\xff")),
        Hypothesis("\ud800"),
        Hypothesis("x", words=cast("tuple[Word, ...]", ("x",))),
        Hypothesis("x", avg_logprob=cast("float", np.float32(-1))),
        Hypothesis("x", tokens=(2**70,)),
        RecognitionError(cast("str", object())),
    ],
)
def test_an_outcome_that_cannot_travel_fails_alone(odd: Hypothesis | RecognitionError) -> None:
    first, second, _ = recognise_safely(Played(lambda _: [odd, HEARD, HEARD]), SEGMENTS)
    assert isinstance(first, EngineFaultError)
    assert second == HEARD


class PlayedDial:
    """Hands out messages that lie there already, and keeps what was sent."""

    def __init__(self, *messages: ToChild) -> None:
        self.unread = list(messages)
        self.sent: list[FromChild] = []

    def receive(self, timeout_s: float | None = None) -> ToChild | None:
        return self.unread.pop(0) if self.unread else None

    def send(self, message: FromChild) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("first", [(), (Stop(),)])
def test_a_batch_that_lies_unread_is_answered_before_leaving(first: tuple[Stop, ...]) -> None:
    dial = PlayedDial(*first, Recognise("b1", ()), Recognise("came-later", ()))
    stop = StopSignal()
    stop.arrived = not first
    progress = Progress()
    serve(EngineServant(Played(lambda _: [])), cast("Dial", dial), stop, progress)
    assert [type(message) for message in dial.sent] == [WorkerReady, Recognised]
    assert progress.count == 1


def test_an_unknown_model_keeps_its_own_error() -> None:
    with pytest.raises(NotFoundError, match="did you mean fake"):
        load_engine(EngineOptions("fakes"))


def test_any_failure_to_load_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        raise OSError("disk\nfull")

    monkeypatch.setattr("voxfleet.engines.fake.FakeEngine.load", load)
    with pytest.raises(StartError, match="model fake cannot be loaded: OSError: disk full"):
        load_engine(EngineOptions("fake"))


def test_a_batch_becomes_orders() -> None:
    message = recognise_message(BATCH)
    (order,) = message.segments
    assert (message.batch_id, order.id, order.path, order.start_s) == ("b1", "s", "/x", 1.5)


@pytest.mark.parametrize("outcome", [HEARD, RecognitionError("r"), EngineFaultError("e")])
def test_outcomes_arrive_as_they_were_sent(outcome: Hypothesis | RecognitionError) -> None:
    result = result_of(Recognised("b1", (to_answer(outcome),), 0.5), BATCH)
    assert result is not None
    (arrived,) = result.results
    assert (type(arrived), str(arrived)) == (type(outcome), str(outcome))


def test_any_other_error_of_a_worker_is_the_engines() -> None:
    answer = Answer(failure=Failure("internal_error", "x"))
    result = result_of(Recognised("b1", (answer,), 0.5), BATCH)
    assert result is not None
    assert isinstance(result.results[0], EngineFaultError)


@pytest.mark.parametrize(
    "answers",
    [(), (Answer(HEARD),) * 2, (Answer(),), (Answer(HEARD, Failure("internal_error", "x")),)],
)
def test_nonsense_is_no_result(answers: tuple[Answer, ...]) -> None:
    assert result_of(Recognised("b1", answers, 0.5), BATCH) is None


def test_negative_time_is_no_result() -> None:
    assert result_of(Recognised("b1", (Answer(HEARD),), -1.0), BATCH) is None
