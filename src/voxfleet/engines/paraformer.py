"""Paraformer, BiCif-Paraformer and SeACo-Paraformer from a published checkpoint's folder.

Joins our own inference (`voxfleet.paraformer`) to the engine interface; torch is imported when the
model is loaded. Knows no transport and no queue.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxfleet.core import SAMPLE_RATE_HZ, EngineInfo, Hypothesis, Segment
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.engine import Tick, no_tick
from voxfleet.errors import EngineFaultError, RecognitionError, StartError

if TYPE_CHECKING:
    from voxfleet.paraformer.loading import LoadedModel
    from voxfleet.paraformer.recogniser import Recognised

_CHINESE = re.compile("[\\u3400-\\u9fff]")
#: first guesses of audio seconds a second, until the real rate is known
_CPU_SPEED = 15.0
_GPU_SPEED = 1000.0
_CPU_MAX_BATCH_S = 120.0
_GPU_MAX_BATCH_S = 600.0
_WARM_UP_S = (1.0, 5.0, 15.0)


class ParaformerEngine:
    def __init__(self, options: EngineOptions, tick: Tick = no_tick) -> None:
        self._options = options
        self._tick = tick
        self._model: LoadedModel | None = None

    @property
    def info(self) -> EngineInfo:
        gpu = self._options.device != "cpu"
        return EngineInfo(
            # not resolved: a folder in a model cache is often a link with the better name
            model=Path(os.path.abspath(self._options.model)).name,  # noqa: PTH100
            languages=("zh", "en"),
            speed=_GPU_SPEED if gpu else _CPU_SPEED,
            word_times=True,
            hotwords=self._model is not None and self._model.recogniser.takes_hotwords,
            max_batch_s=_GPU_MAX_BATCH_S if gpu else _CPU_MAX_BATCH_S,
            memory_mb=self._model.memory_mb if self._model else 0,
        )

    def load(self) -> None:
        try:
            from voxfleet.paraformer.loading import load_recogniser
        except ModuleNotFoundError as fault:
            raise StartError(
                f"model {self._options.model} needs PyTorch, and {fault.name} is not installed;"
                " run: pip install 'voxfleet[paraformer]'"
            ) from None
        options = self._options
        threads = options.threads or len(os.sched_getaffinity(0))
        folder = Path(options.model)
        self._model = load_recogniser(
            folder,
            options.device,
            options.precision,
            threads,
            memory_fraction=options.memory_fraction,
            tick=self._tick,
        )

    def warm_up(self) -> None:
        import numpy as np

        from voxfleet.paraformer.recogniser import Utterance

        model = self._loaded()
        model.warm_up()
        noise = np.random.default_rng(0)
        for duration_s in _WARM_UP_S:
            samples = noise.normal(0, 1000, round(duration_s * SAMPLE_RATE_HZ)).astype(np.int16)
            model.recogniser.recognise([Utterance(samples)])

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        from voxfleet.paraformer.recogniser import Utterance

        utterances = [
            Utterance(segment.waveform.samples, segment.options.hotwords) for segment in batch
        ]
        model = self._loaded()
        found = model.recogniser.recognise(utterances)
        return [
            hypothesis_from(heard) if heard.finite else EngineFaultError(overflow(model.precision))
            for heard in found
        ]

    def _loaded(self) -> LoadedModel:
        if self._model is None:
            raise StartError(f"model {self._options.model}: asked before it was loaded")
        return self._model


def overflow(precision: str) -> str:
    if precision == "float16":
        return "float16 overflowed on this segment; set precision to bfloat16 or float32"
    return f"the model's {precision} numbers overflowed on this segment; check its weights"


def hypothesis_from(heard: Recognised) -> Hypothesis:
    logs = [math.log(word.confidence) for word in heard.words if word.confidence]
    return Hypothesis(
        text=heard.text,
        words=heard.words,
        language=_language(heard.text),
        avg_logprob=sum(logs) / len(logs) if logs else None,
        tokens=heard.token_ids,
        unknown_hotwords=heard.unknown_hotwords,
    )


def _language(text: str) -> str | None:
    """By its script: the model itself tells no language."""
    if not text:
        return None
    return "zh" if _CHINESE.search(text) else "en"
