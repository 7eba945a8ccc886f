"""A speech service without speech: answers from the bytes sent, and remembers what it was asked.

For tests of the gateway alone. `fault` is raised instead of an answer; with `hold` set it computes
until it is released or cancelled. While `state` is not READY it cannot answer; STARTING has no
models yet. `fleet` remembers the orders it was given.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from tests.integration.standin_session import StandInSessions
from voxfleet.core import (
    EngineInfo,
    RequestProgress,
    Transcript,
    Transcription,
    TranscriptSegment,
    Word,
)
from voxfleet.errors import NotFoundError, NotReadyError, OverloadError
from voxfleet.pool_contract import (
    GpuSnapshot,
    PoolSnapshot,
    QueueSnapshot,
    ScaleDecision,
    WorkerSnapshot,
    WorkerState,
)
from voxfleet.transcribe.hotword_check import HotwordCheck
from voxfleet.transcribe.session_contract import RealtimeSession, SessionOptions
from voxfleet.transcribe.transcribe_request import TranscribeRequest
from voxfleet.transcribe.transcript_stream import TextDelta

MAIN = EngineInfo("main", ("en", "zh"), 10, word_times=True, hotwords=True, aliases=("m",))
PLAIN = EngineInfo("org/plain", ("en",), 10)

BUSY = WorkerSnapshot(
    id="main-0",
    model="main",
    device="cuda:0",
    pid=42,
    state=WorkerState.READY,
    restarts=2,
    busy=True,
    pool="fast",
    since_s=1_700_000_000.126,
    in_flight=3,
    audio_s=1234.56,
    compute_s=10,
    batches=7,
    credit_s=120.04,
    out_of_memory=1,
    last_error="was killed by signal 9",
)
GONE = WorkerSnapshot(
    "main-1", "main", "cpu", None, WorkerState.FAILED, 5, False, reason="exited with 1", pool="slow"
)
LONE = WorkerSnapshot("plain-0", "plain", "cpu", 43, WorkerState.READY, 0, False)
#: two pools of one model, one of them lost, and a second model
TWO_MODELS = (
    PoolSnapshot("main", (BUSY, GONE), 98.76, degraded="1 of 2 workers ended for good"),
    PoolSnapshot("plain", (LONE,), None),
)

SOUND = b"RIFF and so on"
FILE = {"file": ("talk.wav", SOUND)}
TRANSCRIBE = "/v1/audio/transcriptions"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fault_of(response: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, code and param of an answer that must be a well-formed error."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].isprintable()
    assert response.headers["x-request-id"]
    return response.status_code, error["code"], error["param"]


class StandInFleet:
    """Takes every order, or raises `fault`."""

    def __init__(self) -> None:
        self.orders: list[tuple[object, ...]] = []
        self.fault: Exception | None = None
        self.cards: tuple[GpuSnapshot, ...] = ()

    def _take(self, *order: object) -> None:
        if self.fault:
            raise self.fault
        self.orders.append(order)

    def start(self) -> None:
        self._take("start")

    async def stop(self) -> None:
        self._take("stop")

    @property
    def decisions(self) -> Sequence[ScaleDecision]:
        return ()

    async def restart(self, worker_id: str) -> None:
        self._take("restart", worker_id)

    async def drain(self, worker_id: str) -> None:
        self._take("drain", worker_id)

    async def scale(self, pool: str, instances: int) -> None:
        self._take("scale", pool, instances)

    async def reload(self) -> str:
        self._take("reload")
        return "pool main: precision changed; 2 workers are replaced"

    def gpus(self) -> tuple[GpuSnapshot, ...]:
        if self.fault:
            raise self.fault
        return self.cards


class StandInService:
    def __init__(self) -> None:
        self.fleet = StandInFleet()
        self.under_way: dict[str, RequestProgress] = {}
        self.snapshots: tuple[PoolSnapshot, ...] = ()
        self.decided: list[ScaleDecision] = []
        self.asked: list[TranscribeRequest] = []
        self.heard: list[str] = []
        self.fault: Exception | None = None
        self.refusal: OverloadError | None = None
        self.state = WorkerState.READY
        self.texts: PoolSnapshot | None = None
        #: what a streamed answer says before its fault, its wait and its end
        self.deltas: Iterable[TextDelta] = ()
        self.hold = False
        self.holding = asyncio.Event()
        self.released = asyncio.Event()
        self.cancelled = threading.Event()
        self.sessions = StandInSessions()
        self.max_places = 100
        self.places = 0

    def models(self) -> tuple[EngineInfo, ...]:
        if self.state is WorkerState.STARTING:
            raise NotReadyError(self.reason())
        return (MAIN, PLAIN)

    def engine_info(self, name: str | None = None) -> EngineInfo:
        for info in self.models():
            if name is None or name in (info.model, *info.aliases):
                return info
        raise NotFoundError(f"no model {name!r}")

    def pools(self) -> tuple[PoolSnapshot, ...]:
        """`snapshots`, or one worker in `state`."""
        if self.snapshots:
            return self.snapshots
        worker = WorkerSnapshot("w", "main", "cpu", 1, self.state, 0, False)
        return (PoolSnapshot("main", (worker,), 12.5),)

    def text_pool(self) -> PoolSnapshot | None:
        return self.texts

    def open_session(self, options: SessionOptions) -> AbstractAsyncContextManager[RealtimeSession]:
        return self.sessions.open_session(options)

    def queue(self) -> QueueSnapshot:
        return QueueSnapshot(waiting=2, waiting_s=3.5, requests=1)

    def queues(self) -> dict[str, QueueSnapshot]:
        """As many segments wait for each model as its name has letters."""
        return {
            pool.model: QueueSnapshot(len(pool.model), 1.04, requests=1) for pool in self.pools()
        }

    def decisions(self) -> list[ScaleDecision]:
        return self.decided

    def ready(self) -> bool:
        return not self.reason()

    def reason(self) -> str:
        return "" if self.state is WorkerState.READY else f"worker w is {self.state}"

    @contextmanager
    def admitted(self) -> Iterator[None]:
        if self.refusal:
            raise self.refusal
        if self.places >= self.max_places:
            raise OverloadError("no place is free")
        self.places += 1
        try:
            yield
        finally:
            self.places -= 1

    def progress(self, request_id: str) -> RequestProgress | None:
        return self.under_way.get(request_id)

    async def unknown_hotwords(self, words: tuple[str, ...]) -> HotwordCheck:
        return HotwordCheck({}, ())

    async def transcribe(self, request: TranscribeRequest) -> Transcription:
        self.asked.append(request)
        data = request.path.read_bytes()
        self.heard.append(digest(data))
        if request.text_listener:
            for delta in self.deltas:
                await request.text_listener.said(delta)
        if self.fault:
            raise self.fault
        if self.hold:
            await self._hold()
        return answer_to(request, len(data))

    async def _hold(self) -> None:
        self.holding.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def answer_to(request: TranscribeRequest, size: int) -> Transcription:
    words = (Word("hello", 0.25, 0.5, 0.9), Word("world", 0.75, 1.0, 0.8))
    segment = TranscriptSegment(0, 0.25, 1.0, "hello world", words, -0.1, 0.01)
    transcript = Transcript("hello world", "en", 1.5, (segment,))
    return Transcription(
        request.model or "", 1.5, (transcript,), (f"{size} bytes",), request.recognition
    )


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app on a real socket of this machine, in a thread with its own loop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        _wait_until_started(server)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            assert not thread.is_alive()


def _wait_until_started(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
