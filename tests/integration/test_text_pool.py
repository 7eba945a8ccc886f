"""Text engines in a real process: answers, deaths, hangs, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.integration.media_rig import LIMIT_S, until
from tests.integration.text_worker_standin import FOLDER_VARIABLE
from voxfleet.engines.text_catalog import ITN, TextEngineOptions
from voxfleet.errors import StartError
from voxfleet.fleet import text_pool as text_pool_module
from voxfleet.fleet.text_pool import TextPool, TextResult
from voxfleet.fleet.worker_slot import RestartPolicy
from voxfleet.pool_contract import WorkerState

REPOSITORY = Path(__file__).resolve().parents[2]
STANDIN = "tests.integration.text_worker_standin"


@dataclass(frozen=True)
class Rig:
    pool: TextPool
    folder: Path

    @property
    def pid(self) -> int:
        (row,) = self.pool.snapshot().workers
        assert row.pid is not None
        return row.pid

    def batches(self) -> list[str]:
        return (self.folder / "batches").read_text().splitlines()

    async def ask(self, *texts: str, engine: str = ITN) -> list[str]:
        """The answers, or the codes of errors."""
        async with asyncio.timeout(LIMIT_S):
            return shown(await self.pool.process(engine, texts))


def shown(results: list[TextResult]) -> list[str]:
    return [result if isinstance(result, str) else result.code for result in results]


@asynccontextmanager
async def text_pool(
    options: TextEngineOptions = TextEngineOptions(itn=True),  # noqa: B008  (frozen)
    *,
    hung_after_s: float = LIMIT_S,
    wait_limit_s: float = LIMIT_S,
    worker_module: str = STANDIN,
) -> AsyncIterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="vox-") as scratch, pytest.MonkeyPatch.context() as env:
        folder = Path(scratch)
        env.setenv("PYTHONPATH", str(REPOSITORY))
        env.setenv(FOLDER_VARIABLE, scratch)
        pool = TextPool(
            options,
            socket_path=folder / "texts",
            log_dir=folder,
            start_timeout_s=LIMIT_S,
            hung_after_s=hung_after_s,
            wait_limit_s=wait_limit_s,
            restarts=RestartPolicy(first_backoff_s=0.01),
            worker_module=worker_module,
        )
        try:
            await pool.start()
            yield Rig(pool, folder)
        finally:
            await pool.stop()


async def test_the_real_worker_formats_numbers() -> None:
    async with text_pool(worker_module="voxfleet.text_worker") as rig:
        assert await rig.ask("twenty three", "", "二十三") == ["23", "", "23"]
        snapshot = rig.pool.snapshot()
        assert (snapshot.ready, snapshot.model) == (True, "itn")


async def test_answers_come_in_order_and_calls_share_batches() -> None:
    async with text_pool() as rig:
        first = asyncio.create_task(rig.ask("hold", "a"))
        await until((rig.folder / "holding").exists)
        others = [asyncio.create_task(rig.ask(text, "x")) for text in "bcd"]
        await asyncio.sleep(0)
        (rig.folder / "released").touch()
        assert await first == ["HOLD", "A"]
        assert await asyncio.gather(*others) == [["B", "X"], ["C", "X"], ["D", "X"]]
        assert rig.batches() == ["hold,a", "b,c,d,x,x,x"]
        assert await rig.ask() == []


async def test_a_worker_killed_in_mid_work_is_replaced_and_nothing_is_lost() -> None:
    async with text_pool() as rig:
        pid = rig.pid
        asked = asyncio.create_task(rig.ask("a", "hold"))
        await until((rig.folder / "holding").exists)
        waiting = asyncio.create_task(rig.ask("b"))
        os.kill(pid, signal.SIGKILL)
        (rig.folder / "released").touch()
        assert (await asked, await waiting) == (["A", "HOLD"], ["B"])
        assert rig.pid != pid
        assert rig.pool.snapshot().workers[0].restarts == 1


async def test_a_text_that_kills_is_found_out_and_only_it_fails() -> None:
    async with text_pool() as rig:
        assert await rig.ask("a", "die", "b") == ["A", "engine_fault", "B"]
        # once among others, then each alone, the guilty one twice
        assert sorted(rig.batches()) == ["a", "a,die,b", "b", "die", "die"]
        assert await rig.ask("c") == ["C"]


async def test_a_worker_that_hangs_is_ended() -> None:
    async with text_pool(hung_after_s=0.5) as rig:
        (fault,) = await rig.pool.process(ITN, ["hang"])
        assert not isinstance(fault, str)
        assert "hung: it gave no answer" in fault.message
        assert await rig.ask("a") == ["A"]


async def test_waiting_has_a_limit_and_leaves_nothing_behind() -> None:
    async with text_pool(wait_limit_s=0.3) as rig:
        assert await rig.ask("hold", "a") == ["deadline_passed"] * 2
        (rig.folder / "released").touch()
        await until(lambda: not rig.pool.snapshot().workers[0].busy)
        assert await rig.ask("b") == ["B"]


async def test_a_caller_who_leaves_breaks_nothing() -> None:
    async with text_pool() as rig:
        leaving = asyncio.create_task(rig.pool.process(ITN, ["hold"]))
        await until((rig.folder / "holding").exists)
        also = asyncio.create_task(rig.pool.process(ITN, ["never"]))
        await asyncio.sleep(0)
        for task in (leaving, also):
            task.cancel()
        await asyncio.gather(leaving, also, return_exceptions=True)
        (rig.folder / "released").touch()
        assert await rig.ask("a") == ["A"]
        assert rig.batches() == ["hold", "a"]


async def test_what_cannot_be_asked_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with text_pool() as rig:
        assert await rig.ask("a", engine="ct-punc") == ["not_ready"]
        assert await rig.ask("a", "\ud800") == ["A", "engine_fault"]
        monkeypatch.setattr(text_pool_module, "MAX_WAITING_CHARS", 2)
        assert await rig.ask("abc") == ["overloaded"]
        assert await rig.ask("ab") == ["AB"]


async def test_stopping_tells_who_waits_and_ends_the_process() -> None:
    async with text_pool() as rig:
        process = psutil.Process(rig.pid)
        asked = asyncio.create_task(rig.ask("hang", "a"))
        await until(lambda: rig.pool.snapshot().workers[0].busy)
        await asyncio.wait_for(rig.pool.stop(), LIMIT_S)
        assert await asked == ["not_ready"] * 2
        assert not process.is_running()
        assert not (rig.folder / "texts").exists()
        assert await rig.ask("a") == ["not_ready"]
        assert rig.pool.snapshot().workers[0].state is WorkerState.DRAINING


async def test_a_model_that_cannot_be_loaded_stops_the_start(tmp_path: Path) -> None:
    options = TextEngineOptions(punctuation_dir=str(tmp_path))
    with pytest.raises(StartError, match=tmp_path.name):
        async with text_pool(options, worker_module="voxfleet.text_worker"):
            pytest.fail("it started")
