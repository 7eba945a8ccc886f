"""An engine without a model: words computed from the samples, and faults on demand.

Deterministic and prefix-stable: every complete 0.5 s of samples makes one word from those samples
alone, so a longer piece begins with the text of a shorter one; digital silence makes none. With
hotwords, about every fourth word is one of them. Knows no language: it says the one asked for, and
lists two (en, zh) only so that requests which name one can be tried.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn
from zlib import crc32

from voxfleet.core import SAMPLE_RATE_HZ, EngineInfo, Hypothesis, Segment, Waveform, Word
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.engine import Tick, no_tick
from voxfleet.engines.fake_options import FakeFault, parse_faults
from voxfleet.errors import DeviceFaultError, RecognitionError, StartError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK_SAMPLES = SAMPLE_RATE_HZ // 2
_BLOCK_S = BLOCK_SAMPLES / SAMPLE_RATE_HZ
#: 64 syllables; a word is two of them, by twelve bits of its hash
_SYLLABLES = tuple(first + vowel for first in "bdfghjklmnprstvz" for vowel in "aeiu")
_HOTWORD_EVERY = 4
_SLOW_FACTOR = 10
_CRASH_STATUS = 70


class FakeEngine:
    """`sleep` and `end_process` are arguments so that a test needs neither time nor a process."""

    def __init__(
        self,
        options: EngineOptions,
        tick: Tick = no_tick,
        *,
        sleep: Callable[[float], None] = time.sleep,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._options = options.fake
        self._rules = parse_faults(self._options.fault)
        self._tick = tick
        self._sleep = sleep
        self._end_process = end_process
        self._batch_number = 0
        self._memory = bytearray()
        self._info = EngineInfo(
            model="fake",
            languages=("en", "zh"),
            speed=self._options.speed,
            word_times=True,
            hotwords=True,
            max_batch_s=120.0,
            memory_mb=self._options.memory_mb,
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    def load(self) -> None:
        self._sleep(self._options.load_s)
        faults = self._struck(())
        if FakeFault.LOAD_EXIT in faults:
            self._end_process(_CRASH_STATUS)
        if FakeFault.LOAD_HANG in faults:
            self._hang()
        if FakeFault.LOAD in faults:
            raise StartError("model fake: told not to load; take `load` out of fake.fault")
        # written, not only reserved: the operating system counts touched pages
        self._memory = bytearray(b"\x01") * (self._options.memory_mb << 20)

    def warm_up(self) -> None:
        import numpy as np

        hear(Segment("warm-up", Waveform(np.ones(BLOCK_SAMPLES, np.int16))))

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        self._batch_number += 1
        faults = self._faults(batch)
        self._disturb(faults)
        padded_s = len(batch) * max((s.waveform.duration_s for s in batch), default=0.0)
        self._fit(padded_s)
        self._work(self._options.fixed_s + padded_s / self._options.speed, faults)
        answers = [self._answer(segment) for segment in batch]
        return answers[:-1] if FakeFault.WRONG_COUNT in faults else answers

    def _fit(self, padded_s: float) -> None:
        limit_s = self._options.out_of_memory_above_s
        if limit_s and padded_s > limit_s:
            raise MemoryError(f"model fake: {padded_s:g} s do not fit, only {limit_s:g} s do")

    def _work(self, busy_s: float, faults: set[FakeFault]) -> None:
        if FakeFault.SLOW not in faults:
            self._sleep(busy_s)
            return
        for _ in range(_SLOW_FACTOR):
            self._sleep(busy_s)
            self._tick()

    def _faults(self, batch: Sequence[Segment]) -> set[FakeFault]:
        hotwords = [word for segment in batch for word in segment.options.hotwords]
        return self._struck(hotwords)

    def _struck(self, hotwords: Sequence[str]) -> set[FakeFault]:
        return {
            rule.fault
            for rule in self._rules
            if rule.strikes(self._batch_number, hotwords, chance_seed=str(os.getpid()))
        }

    def _disturb(self, faults: set[FakeFault]) -> None:
        if FakeFault.CRASH in faults:
            self._end_process(_CRASH_STATUS)
        if FakeFault.EXIT in faults:
            self._end_process(0)
        if FakeFault.HANG in faults:
            self._hang()
        if FakeFault.DEVICE in faults:
            raise DeviceFaultError("model fake: told that its device is lost")
        if FakeFault.OUT_OF_MEMORY in faults:
            raise MemoryError("model fake: told to run out of memory")
        if FakeFault.BROKEN in faults:
            raise ZeroDivisionError("model fake: told to break")

    def _hang(self) -> NoReturn:
        while True:
            self._sleep(3600.0)

    def _answer(self, segment: Segment) -> Hypothesis | RecognitionError:
        # by the segment's own hotwords: its neighbours' faults are not its own
        faults = self._struck(segment.options.hotwords)
        if FakeFault.ERROR in faults:
            return RecognitionError(f"segment {segment.id}: the fake engine was told to fail")
        if FakeFault.GARBAGE in faults:
            return Hypothesis(text=b"\xff\xfe")  # type: ignore[arg-type]
        if FakeFault.CORRUPT in faults:
            return _Changeling("")
        return hear(segment)


class _Changeling(Hypothesis):
    """Is a text when the worker checks it, and none when it is sent."""

    __slots__ = ("_seen",)

    @property
    def text(self) -> str:
        if hasattr(self, "_seen"):
            return b"\xff\xfe"  # type: ignore[return-value]
        object.__setattr__(self, "_seen", True)
        return ""

    @text.setter
    def text(self, _: str) -> None: ...


def hear(segment: Segment) -> Hypothesis:
    """The words of one segment's complete blocks."""
    samples = segment.waveform.samples
    words = tuple(
        _word(samples[start : start + BLOCK_SAMPLES], start / SAMPLE_RATE_HZ, segment)
        for start in range(0, len(samples) - BLOCK_SAMPLES + 1, BLOCK_SAMPLES)
        if samples[start : start + BLOCK_SAMPLES].any()
    )
    confidences = [word.confidence for word in words if word.confidence is not None]
    return Hypothesis(
        text=" ".join(word.text for word in words),
        words=words,
        language=segment.options.language or "en",
        avg_logprob=sum(map(math.log, confidences)) / len(words) if words else None,
        no_speech_prob=0.0 if words else 1.0,
    )


def _word(block: NDArray[np.int16], start_s: float, segment: Segment) -> Word:
    code = crc32(block.astype("<i2").tobytes())
    hotwords = segment.options.hotwords
    if hotwords and code % _HOTWORD_EVERY == 0:
        text = hotwords[(code // _HOTWORD_EVERY) % len(hotwords)]
    else:
        text = _SYLLABLES[(code >> 8) % 64] + _SYLLABLES[(code >> 14) % 64]
    confidence = 0.5 + (code >> 24) / 512
    return Word(text, start_s, start_s + _BLOCK_S, confidence)
