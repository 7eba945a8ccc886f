"""A text worker makes an answer of whatever its engines do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from voxfleet.engines import text_catalog
from voxfleet.engines.text_catalog import TextEngineOptions, make_text_engines
from voxfleet.errors import DeviceFaultError, EngineFaultError, RecognitionError, StartError
from voxfleet.text_worker import TextServant, load_text_engines, process_safely, to_answer
from voxfleet.wire.heartbeat import Progress
from voxfleet.wire.messages import ProcessTexts, Recognise, TextsProcessed, TextWorkerReady

Process = Callable[[Sequence[str]], object]


class Played:
    """A text engine whose processing is a function."""

    def __init__(self, process: Process, load: Callable[[], None] = lambda: None) -> None:
        self._process = process
        self.load = load

    def warm_up(self) -> None: ...

    def process(self, batch: Sequence[str]) -> list[str | RecognitionError]:
        return cast("list[str | RecognitionError]", self._process(batch))


def upper(batch: Sequence[str]) -> object:
    return [text.upper() for text in batch]


def breaks_on_b(batch: Sequence[str]) -> object:
    if "b" in batch:
        raise KeyError("b")
    return upper(batch)


def no_room_for_two(batch: Sequence[str]) -> object:
    if len(batch) > 1:
        raise MemoryError
    return upper(batch)


def outcomes(process: Process) -> list[str]:
    answers = process_safely("played", Played(process), ["a", "b", "c"])
    return [answer if isinstance(answer, str) else answer.code for answer in answers]


@pytest.mark.parametrize(
    ("process", "codes"),
    [
        (upper, ["A", "B", "C"]),
        (no_room_for_two, ["A", "B", "C"]),
        (breaks_on_b, ["A", "engine_fault", "C"]),
        (lambda batch: ["A"], ["engine_fault"] * 3),
        (lambda batch: None, ["engine_fault"] * 3),
        (lambda batch: ["A", 2, None], ["A", "engine_fault", "engine_fault"]),
        (lambda batch: ["A", "\ud800", "C"], ["A", "engine_fault", "C"]),
        (lambda batch: ["A", RecognitionError("no"), "C"], ["A", "recognition_failed", "C"]),
    ],
)
def test_every_text_has_an_outcome(process: Process, codes: list[str]) -> None:
    assert outcomes(process) == codes


def test_a_refusal_of_the_whole_batch_is_everybodys() -> None:
    def refuse(_: Sequence[str]) -> object:
        raise RecognitionError("not today")

    assert outcomes(refuse) == ["recognition_failed"] * 3


def test_a_failing_batch_is_halved_with_progress() -> None:
    progress, asked = Progress(), []

    def process(batch: Sequence[str]) -> object:
        asked.append(len(batch))
        return breaks_on_b(batch)

    answers = process_safely("played", Played(process), list("abcdefgh"), progress.tick)
    assert [isinstance(answer, EngineFaultError) for answer in answers] == [
        text == "b" for text in "abcdefgh"
    ]
    assert asked == [8, 4, 2, 1, 1, 2, 4]
    assert progress.count == len(asked)


def test_a_lost_device_is_not_answered_for() -> None:
    def lost(_: Sequence[str]) -> object:
        raise DeviceFaultError("gone")

    with pytest.raises(DeviceFaultError):
        outcomes(lost)


def test_a_servant_says_its_engines_and_answers_for_the_one_named() -> None:
    servant = TextServant({"up": Played(upper), "bad": Played(breaks_on_b)})
    assert servant.ready() == TextWorkerReady(("up", "bad"))
    processed = servant.answer(ProcessTexts("b1", "up", ("a", "b")))
    assert processed == TextsProcessed("b1", tuple(map(to_answer, ["A", "B"])))
    (good, bad) = servant.answer(ProcessTexts("b2", "bad", ("a", "b"))).answers
    assert (good.text, bad.failure and bad.failure.code) == ("A", "engine_fault")
    with pytest.raises(TypeError, match="Recognise"):
        servant.answer(Recognise("b3", ()))


def test_nothing_wanted_makes_nothing() -> None:
    assert TextEngineOptions().names == ()
    assert make_text_engines(TextEngineOptions()) == {}


def test_whatever_goes_wrong_in_loading_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("two\nlines")

    monkeypatch.setattr(text_catalog, "_make", lambda *_: Played(upper, broken))
    with pytest.raises(StartError, match=r"text engine itn cannot be loaded: OSError: two lines"):
        load_text_engines(TextEngineOptions(itn=True))


def test_an_engine_whose_library_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(text_catalog._ENGINES, "itn", ("voxfleet_no_such_module", "X"))
    with pytest.raises(StartError, match="text engine itn: voxfleet_no_such_module is not"):
        make_text_engines(TextEngineOptions(itn=True))


def test_an_outcome_is_an_answer() -> None:
    assert to_answer("a").text == "a"
    failure = to_answer(EngineFaultError("why")).failure
    assert failure is not None
    assert (failure.code, failure.message) == ("engine_fault", "why")
