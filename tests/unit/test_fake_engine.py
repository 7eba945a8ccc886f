"""The fake engine: text from samples alone, its pace, and every fault when it is due."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.integration.worker_rig import noise, segment
from voxfleet.core import Hypothesis, RecognitionOptions, Segment
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake import FakeEngine, hear
from voxfleet.engines.fake_options import FakeFault, FakeOptions, FaultRule, parse_faults
from voxfleet.errors import DeviceFaultError, RecognitionError, SettingsError, StartError
from voxfleet.wire.heartbeat import Progress


class StoppedError(Exception):
    """Raised by a test's clock instead of letting time pass."""


class Clock:
    def __init__(self, limit_s: float = math.inf) -> None:
        self.slept_s: list[float] = []
        self.limit_s = limit_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        if seconds > self.limit_s:
            raise StoppedError


def engine(fault: str = "", clock: Clock | None = None, **options: float) -> FakeEngine:
    fake = FakeOptions(fault=fault, **options)  # type: ignore[arg-type]
    return FakeEngine(EngineOptions("fake", fake=fake), sleep=(clock or Clock()).sleep)


def aimed(*hotwords: str) -> Segment:
    return segment(noise(1.0), options=RecognitionOptions(hotwords=hotwords))


def test_one_word_for_each_complete_half_second() -> None:
    heard = hear(segment(noise(1.7)))
    assert [(word.start_s, word.end_s) for word in heard.words] == [(0, 0.5), (0.5, 1), (1, 1.5)]
    assert heard.text.split() == [word.text for word in heard.words]


def test_a_longer_piece_begins_with_the_text_of_a_shorter_one() -> None:
    whole = hear(segment(noise(5.0))).text.split()
    assert [hear(segment(noise(5.0)[:n])).text.split() for n in (8_000, 30_000, 79_999)] == [
        whole[:1],
        whole[:3],
        whole[:9],
    ]


def test_different_sound_is_a_different_text() -> None:
    assert len({hear(segment(noise(1.0, seed))).text for seed in range(50)}) == 50


def test_silence_has_no_words() -> None:
    silence = np.zeros(16_000, np.int16)
    assert hear(segment(silence)) == Hypothesis("", language="en", no_speech_prob=1.0)
    mixed = hear(segment(np.concatenate((silence, noise(0.5)))))
    assert [word.start_s for word in mixed.words] == [1.0]


def test_says_the_language_it_was_asked_for() -> None:
    asked = segment(noise(0.5), options=RecognitionOptions(language="zh"))
    assert hear(asked).language == "zh"


def test_log_probability_is_that_of_the_words() -> None:
    heard = hear(segment(noise(2.0)))
    logs = [math.log(word.confidence or 0) for word in heard.words]
    assert heard.avg_logprob == pytest.approx(sum(logs) / 4)


def test_some_words_become_hotwords_and_no_others_change() -> None:
    plain = hear(segment(noise(20.0))).text.split()
    options = RecognitionOptions(hotwords=("Zhou", "Qwen"))
    told = hear(segment(noise(20.0), options=options)).text.split()
    changed = [word for word, before in zip(told, plain, strict=True) if word != before]
    assert set(changed) == {"Zhou", "Qwen"}
    assert 3 <= len(changed) <= 20


def test_a_batch_takes_its_padded_seconds_by_the_speed() -> None:
    clock = Clock()
    engine(clock=clock, speed=2.0, fixed_s=0.5).recognise([aimed(), segment(noise(3.0))])
    assert clock.slept_s == [0.5 + 2 * 3.0 / 2.0]


def test_loading_takes_its_time_and_its_memory() -> None:
    clock = Clock()
    loaded = engine(clock=clock, load_s=7.0, memory_mb=1)
    loaded.load()
    assert clock.slept_s == [7.0]
    assert loaded.info.memory_mb == 1


def test_told_not_to_load() -> None:
    with pytest.raises(StartError, match="told not to load"):
        engine("load").load()


@pytest.mark.parametrize("fault", ["load", "load_exit", "load_hang"])
@pytest.mark.parametrize(("share", "loads"), [("0.0", True), ("1.0", False)])
def test_a_share_of_processes_fails_to_load(fault: str, share: str, loads: bool) -> None:
    clock = Clock(limit_s=1000)
    told = FakeEngine(
        EngineOptions("fake", fake=FakeOptions(fault=f"{fault}@{share}")),
        sleep=clock.sleep,
        end_process=end_process,
    )
    if loads:
        told.load()
        return
    with pytest.raises((StartError, SystemExit, StoppedError)):
        told.load()


def test_slow_is_ten_times_the_time_with_progress() -> None:
    clock, progress = Clock(), Progress()
    options = FakeOptions(speed=1.0, fault="slow@1")
    slow = FakeEngine(EngineOptions("fake", fake=options), progress.tick, sleep=clock.sleep)
    slow.recognise([aimed()])
    assert (clock.slept_s, progress.count) == ([1.0] * 10, 10)
    slow.recognise([aimed()])
    assert (clock.slept_s[10:], progress.count) == ([1.0], 10)


def test_hang_never_answers() -> None:
    with pytest.raises(StoppedError):
        engine("hang", Clock(limit_s=1000)).recognise([aimed()])


def end_process(status: int) -> None:
    raise SystemExit(status)


@pytest.mark.parametrize(("fault", "status"), [("crash", 70), ("exit", 0)])
def test_some_faults_end_the_process(fault: str, status: int) -> None:
    options = EngineOptions("fake", fake=FakeOptions(fault=fault))
    with pytest.raises(SystemExit) as end:
        FakeEngine(options, end_process=end_process).recognise([aimed()])
    assert end.value.code == status


def test_the_process_may_end_while_it_loads() -> None:
    options = EngineOptions("fake", fake=FakeOptions(fault="load_exit"))
    with pytest.raises(SystemExit) as end:
        FakeEngine(options, end_process=end_process).load()
    assert end.value.code == 70


def test_loading_may_never_end() -> None:
    with pytest.raises(StoppedError):
        engine("load_hang", Clock(limit_s=1000)).load()


def test_a_batch_above_the_limit_does_not_fit() -> None:
    limited = engine(out_of_memory_above_s=3.0)
    assert len(limited.recognise([aimed(), segment(noise(1.5))])) == 2
    with pytest.raises(MemoryError, match=r"3\.2 s do not fit, only 3 s do"):
        limited.recognise([aimed(), segment(noise(1.6))])


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("out_of_memory", MemoryError),
        ("broken", ArithmeticError),
        ("device", DeviceFaultError),
    ],
)
def test_faults_that_raise(fault: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        engine(fault).recognise([aimed()])


def test_wrong_count_is_one_answer_too_few() -> None:
    assert len(engine("wrong_count").recognise([aimed(), aimed()])) == 1


def test_garbage_is_no_text() -> None:
    (answer,) = engine("garbage").recognise([aimed()])
    assert isinstance(answer, Hypothesis)
    assert not isinstance(answer.text, str)


def test_error_hits_only_the_segment_it_is_aimed_at() -> None:
    answers = engine("error@bad").recognise([aimed(), aimed("bad"), aimed("good")])
    assert [isinstance(answer, RecognitionError) for answer in answers] == [False, True, False]


def test_a_fault_at_the_nth_batch_happens_once() -> None:
    told = engine("wrong_count@2")
    assert [len(told.recognise([aimed()])) for _ in range(4)] == [1, 0, 1, 1]


def test_chance_follows_its_seed() -> None:
    def struck(seed: str, share: float) -> list[bool]:
        rule = FaultRule(FakeFault.CRASH, probability=share, seed=seed)
        return [rule.strikes(number, (), chance_seed="") for number in range(1000)]

    assert 50 < sum(struck("7", 0.1)) < 150
    assert struck("7", 0.1) == struck("7", 0.1) != struck("8", 0.1)
    assert not any(struck("7", 0.0))


def test_rules_are_read() -> None:
    assert parse_faults("crash, hang@3, error@0.25#9, slow@boom") == (
        FaultRule(FakeFault.CRASH),
        FaultRule(FakeFault.HANG, batch_number=3),
        FaultRule(FakeFault.ERROR, probability=0.25, seed="9"),
        FaultRule(FakeFault.SLOW, hotword="boom"),
    )


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"'crush' is no fault; known are slow, hang, crash"):
        parse_faults("crush")


def test_the_document_lists_every_fault_and_no_other() -> None:
    document = Path(__file__).parents[2] / "docs" / "settings.md"
    _, _, told = document.read_text(encoding="utf-8").partition("## Faults of the model `fake`")
    listed = [line.split("`")[1] for line in told.splitlines() if line.startswith("- `")]
    assert listed == list(FakeFault)
