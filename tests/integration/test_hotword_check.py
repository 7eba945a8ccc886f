"""Models asked by silence which words they have no tokens for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.media_rig import LIMIT_S
from voxfleet.core import EngineInfo, Hypothesis, Segment
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.engine import Engine
from voxfleet.engines.fake import FakeEngine
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import RecognitionError
from voxfleet.fleet.in_process_pool import InProcessPool
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.hotword_check import HotwordCheck, HotwordChecker
from voxfleet.transcribe.served_model import ModelList, ServedModel

TONE = Path(__file__).resolve().parent.parent / "checkpoints" / "tone"


class Named(FakeEngine):
    """Knows ASCII alone; `takes` no hotwords where told so."""

    def __init__(self, name: str, fake: FakeOptions | None = None, takes: bool = True) -> None:
        super().__init__(EngineOptions("fake", fake=fake or FakeOptions()))
        self._name, self._takes = name, takes

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, model=self._name, hotwords=self._takes)

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        return [
            replace(
                answer,
                unknown_hotwords=tuple(
                    word for word in segment.options.hotwords[::-1] if not word.isascii()
                ),
            )
            if isinstance(answer, Hypothesis)
            else answer
            for segment, answer in zip(batch, super().recognise(batch), strict=True)
        ]


@asynccontextmanager
async def running(*engines: Engine) -> AsyncIterator[ModelList]:
    pools = [InProcessPool(engine) for engine in engines]
    models = ModelList([ServedModel(pool, Dispatcher(pool)) for pool in pools])
    for served in models:
        await served.pool.start()
        served.dispatcher.start()
    try:
        yield models
    finally:
        for served in models:
            await served.dispatcher.stop()
            await served.pool.stop()


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def check(models: ModelList, folder: Path, *words: str, limit_s: float = 5) -> HotwordCheck:
    checker = HotwordChecker(models, folder, limit_s)
    return await asyncio.wait_for(checker.check(words), LIMIT_S)


async def test_each_model_tells_in_the_order_of_the_list(tmp_path: Path) -> None:
    async with running(Named("a"), Named("b"), Named("deaf", takes=False)) as models:
        found = await check(models, tmp_path, "乙", "ok", "甲")
        assert found == HotwordCheck({"a": ("乙", "甲"), "b": ("乙", "甲")}, ())
        assert await check(models, tmp_path, "ok") == HotwordCheck({"a": (), "b": ()}, ())
    assert left_in(tmp_path) == []


async def test_a_model_that_does_not_answer_is_unchecked(tmp_path: Path) -> None:
    slow = Named("slow", FakeOptions(fixed_s=0.6))
    broken = Named("broken", FakeOptions(fault="error@bad"))
    async with running(slow, broken, Named("well")) as models:
        began_s = time.monotonic()
        found = await check(models, tmp_path, "bad", "甲", limit_s=0.2)
        assert found == HotwordCheck({"well": ("甲",)}, ("slow", "broken"))
        assert time.monotonic() - began_s < 0.6
        assert all(served.requests == 0 and not served.dispatcher.waiting for served in models)
    assert left_in(tmp_path) == []


async def test_a_model_that_is_not_there_is_unchecked(tmp_path: Path) -> None:
    async with running(Named("a"), Named("b")) as models:
        await models.served[0].dispatcher.stop()
        found = await check(models, tmp_path, "甲")
    assert found == HotwordCheck({"b": ("甲",)}, ("a",))


async def test_a_disk_that_takes_no_silence_leaves_all_unchecked(tmp_path: Path) -> None:
    async with running(Named("a"), Named("b")) as models:
        found = await check(models, tmp_path / "gone", "甲")
    assert found == HotwordCheck({}, ("a", "b"))


async def test_no_model_at_all(tmp_path: Path) -> None:
    assert await check(ModelList(), tmp_path / "gone", "甲") == HotwordCheck({}, ())


async def test_a_real_model_knows_its_vocabulary(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from voxfleet.engines.paraformer import ParaformerEngine

    async with running(ParaformerEngine(EngineOptions(str(TONE), threads=1))) as models:
        found = await check(models, tmp_path, "它中国", "龘龘", "vox fleet", "@home")
        assert found == HotwordCheck({"tone": ("龘龘", "@home")}, ())
