"""A runner of jobs in hand-made time: a store in memory, and ears that answer when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.unit.hand_time import HandTime
from tests.unit.standin_job_store import StandinJobStore
from voxfleet.core import Hypothesis, SpooledSegment, Transcript, Transcription
from voxfleet.errors import OverloadError, VoxfleetError
from voxfleet.jobs.job import FileSource, FileState, JobFile, JobOptions, NewJob
from voxfleet.jobs.job_runner import JobRunner, RunnerSettings
from voxfleet.transcribe.transcribe_request import TranscribeRequest

SERVER = "server-1"
AWAY = OverloadError("the database is away")


def new_job(job_id: str, *names: str, client: str = "", key: str | None = None) -> NewJob:
    files = tuple(FileSource(name, f"/in/{name}") for name in names or ("a.wav",))
    return NewJob(job_id, "", client, JobOptions("fake"), files, idempotency_key=key)


def said(name: str, duration_s: float = 2.0) -> Transcription:
    return Transcription("fake", duration_s, (Transcript(f"text of {name}", "en", duration_s),))


def segment(index: int, digest: str | None = None) -> SpooledSegment:
    told = f"digest-{index}" if digest is None else digest
    return SpooledSegment(f"s{index}", Path("x.pcm"), index * 10.0, 160_000, digest=told)


def heard(index: int) -> Hypothesis:
    return Hypothesis(f"part {index}", unknown_hotwords=("quokka",))


class HandEars:
    """Answers at once, unless a file is held; `faults` are raised once each, in their order."""

    def __init__(self) -> None:
        self.asked: list[TranscribeRequest] = []
        self.at_once = True
        self.faults: dict[str, list[BaseException]] = {}
        self._held: dict[str, asyncio.Future[Transcription]] = {}

    async def transcribe(self, request: TranscribeRequest) -> Transcription:
        self.asked.append(request)
        faults = self.faults.get(request.name)
        if faults:
            raise faults.pop(0)
        if self.at_once:
            return said(request.name)
        answer: asyncio.Future[Transcription] = asyncio.get_running_loop().create_future()
        self._held[request.id] = answer
        try:
            return await answer
        finally:
            if self._held.get(request.id) is answer:
                del self._held[request.id]

    @property
    def busy(self) -> Sequence[str]:
        return sorted(self._held)

    def answer(self, request_id: str) -> None:
        self._held[request_id].set_result(said(request_id))

    def fail(self, request_id: str, fault: Exception) -> None:
        self._held[request_id].set_exception(fault)


class HandSources:
    """Every source lies where its place says; `open` are those that are in use."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.fault: VoxfleetError | None = None

    @asynccontextmanager
    async def local(self, source: FileSource) -> AsyncIterator[Path]:
        if self.fault:
            raise self.fault
        self.open.add(source.name)
        try:
            yield Path(source.place)
        finally:
            self.open.discard(source.name)


class RunnerRig:
    def __init__(self, settings: RunnerSettings | None = None) -> None:
        self.time = HandTime()
        self.store = StandinJobStore()
        self.ears = HandEars()
        self.sources = HandSources()
        self.ready = True
        self.following: asyncio.Task[None] | None = None
        self.runner = self.another(settings or RunnerSettings(running_files=2), SERVER)

    def another(self, settings: RunnerSettings, server_id: str) -> JobRunner:
        return JobRunner(
            self.store,
            self.ears.transcribe,
            self.sources,
            settings,
            server_id,
            self.time.clock,
            ready=lambda: self.ready,
            workers=lambda: 1,
            sleep=self.time.sleep,
            jitter=lambda: 1.0,
        )

    async def submit(self, job: NewJob) -> None:
        away, self.store.away = self.store.away, None
        await self.store.enqueue(job, self.time.now_s)
        self.store.away = away
        self.runner.wake()
        await self.time.settle()

    def file(self, job_id: str = "j", position: int = 0) -> JobFile:
        return self.store.file(job_id, position)

    def state(self, job_id: str = "j", position: int = 0) -> FileState:
        return self.file(job_id, position).state

    def count(self, call: str) -> int:
        return self.store.calls.count(call)


@asynccontextmanager
async def running(settings: RunnerSettings | None = None) -> AsyncIterator[RunnerRig]:
    rig = RunnerRig(settings)
    rig.following = asyncio.create_task(rig.runner.follow())
    await rig.time.settle()
    try:
        yield rig
    finally:
        rig.following.cancel()
        await asyncio.gather(rig.following, return_exceptions=True)
        await rig.runner.stop(0)
        assert rig.runner.running == 0
        assert rig.sources.open == set()
