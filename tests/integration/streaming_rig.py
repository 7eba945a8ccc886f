"""A service whose engine computes one batch and then waits until the test lets it go on.

So a test sees that a text is told while the rest is not recognised yet, by the order of events.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from tests.integration.media_rig import LIMIT_S
from voxfleet.core import EngineInfo
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake import FakeEngine
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.fleet.in_process_pool import InProcessPool
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings
from voxfleet.pool_contract import TextProcessor
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.front_desk import QueueLimits
from voxfleet.transcribe.served_model import ModelList, ServedModel
from voxfleet.transcribe.transcription_service import TranscriptionService


class Gate:
    """Where the engine waits from its second batch on; `batches` are those it has begun."""

    def __init__(self) -> None:
        self.batches = 0
        self._open = threading.Event()

    def pass_through(self, _: float) -> None:
        """In place of the time a batch takes."""
        self.batches += 1
        if self.batches > 1:
            self._open.wait(LIMIT_S)

    def open(self) -> None:
        self._open.set()


class SmallBatches(FakeEngine):
    """Takes so little at once that a recording is never recognised in its first batch."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, max_batch_s=4.0)


@asynccontextmanager
async def gated_service(
    fault: str = "", texts: TextProcessor | None = None
) -> AsyncIterator[tuple[TranscriptionService, Gate]]:
    gate = Gate()
    # not pytest's folder: the path of a socket must be short
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as folder:
        spool = Path(folder) / "spool"
        media = MediaPool(MediaSettings(processes=1), Path(folder) / "media", spool)
        options = EngineOptions("fake", fake=FakeOptions(fault=fault))
        pool = InProcessPool(SmallBatches(options, sleep=gate.pass_through))
        served = ServedModel(pool, Dispatcher(pool))
        running = TranscriptionService(media, ModelList([served]), QueueLimits(20), texts)
        # text engines of a test run already
        await asyncio.gather(media.start(), pool.start())
        served.dispatcher.start()
        # loading sleeps too
        gate.batches = 0
        try:
            yield running, gate
        finally:
            gate.open()
            await running.stop()
        assert list(spool.iterdir()) == []


@asynccontextmanager
async def served_here(app: FastAPI) -> AsyncIterator[str]:
    """The app on a real socket, in this very loop, as the service it stands before."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, LIMIT_S)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # they are the test runner's
        yield
