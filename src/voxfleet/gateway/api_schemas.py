"""What the routes need: a speech service and settings; and the JSON objects they answer with.

`transcribe.transcription_service` has such a service. Knows no route and no HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxfleet.core import EngineInfo, RequestProgress, Transcription, VadMode
from voxfleet.observe.system_info import SystemInfo
from voxfleet.pool_contract import (
    FleetControl,
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

JsonObject = dict[str, object]

#: of each pool, the decisions that are told; the log has all of them
_DECISIONS_TOLD = 10
#: drivers count in MiB, this API in MB (10^6 bytes)
_MB_PER_MIB = 1.048576


class SpeechService(Protocol):
    """Answers requests; every method may raise VoxfleetError."""

    def models(self) -> tuple[EngineInfo, ...]:
        """At least one, the default first; raises NotReadyError before any has been loaded."""
        ...

    def engine_info(self, name: str | None = None) -> EngineInfo: ...
    def pools(self) -> tuple[PoolSnapshot, ...]:
        """One for each model, also while it loads."""
        ...

    def text_pool(self) -> PoolSnapshot | None:
        """The text engines' workers; None where there are none."""
        ...

    def queue(self) -> QueueSnapshot: ...
    def queues(self) -> Mapping[str, QueueSnapshot]:
        """The same by model, one for each of `pools`."""
        ...

    @property
    def fleet(self) -> FleetControl: ...
    def decisions(self) -> Sequence[ScaleDecision]:
        """What the autoscaler decided lately, of all pools, the oldest first."""
        ...

    def ready(self) -> bool:
        """Whether a request that comes now can be answered."""
        ...

    def reason(self) -> str:
        """Why not; empty when it can."""
        ...

    def admitted(self) -> AbstractContextManager[None]:
        """Holds a place; raises OverloadError when one more request would wait too long."""
        ...

    def progress(self, request_id: str) -> RequestProgress | None:
        """How far a request is; None when it is not being answered."""
        ...

    async def unknown_hotwords(self, words: tuple[str, ...]) -> HotwordCheck:
        """Which of them each model has no tokens for; never waits long."""
        ...

    async def transcribe(self, request: TranscribeRequest) -> Transcription: ...
    def open_session(self, options: SessionOptions) -> AbstractAsyncContextManager[RealtimeSession]:
        """Entering it raises OverloadError, NotReadyError, NotFoundError or ParameterError."""
        ...


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What the gateway takes from the settings; `started_at_s` is the Unix time of the start.

    `data_dir` is whose disk is told of; left out, the folder that holds `upload_dir`.
    """

    upload_dir: Path
    version: str
    data_dir: Path | None = None
    max_upload_mb: int = 1000
    request_timeout_s: float = 300
    default_vad: VadMode = VadMode.AUTO
    started_at_s: int = 0
    root_path: str = ""
    cors_origins: tuple[str, ...] = ()
    docs: bool = True
    max_sessions: int = 200
    max_session_s: float = 14_400
    idle_timeout_s: float = 600
    secret_lifetime_s: int = 600
    #: numbers can be written as digits
    itn: bool = False


def model_object(info: EngineInfo, created_s: int) -> JsonObject:
    """OpenAI's model object."""
    return {"id": info.model, "object": "model", "created": created_s, "owned_by": "voxfleet"}


def asr_answer(transcription: Transcription) -> JsonObject:
    """What `POST /asr` says: the text first, then what a caller may want to know of it."""
    language = next((t.language for t in transcription.transcripts if t.language), None)
    answer: JsonObject = {
        "text": "\n".join(transcript.text for transcript in transcription.transcripts),
        "language": language,
        "status": "success",
        "duration": round(transcription.duration_s, 3),
        "model": transcription.model,
    }
    if any(transcript.channel for transcript in transcription.transcripts):
        answer["channels"] = [
            {"channel": transcript.channel, "text": transcript.text}
            for transcript in transcription.transcripts
        ]
    if transcription.warnings:
        answer["warnings"] = list(transcription.warnings)
    return answer


# -- for operators --------------------------------------------------------------------------------


def instance_object(worker: WorkerSnapshot, waiting: int) -> JsonObject:
    """A row of `GET /v1/instances`; `waiting` are the segments that wait for its model."""
    speed = worker.audio_s / worker.compute_s if worker.compute_s > 0 else None
    return {
        "id": worker.id,
        "pool": worker.pool or worker.model,
        "model": worker.model,
        "device": worker.device,
        "pid": worker.pid,
        "state": worker.state,
        "since": round(worker.since_s, 1) or None,
        "reason": worker.reason or None,
        "restarts": worker.restarts,
        "last_error": worker.last_error or None,
        "busy": worker.busy,
        "in_flight": worker.in_flight,
        "queue": waiting,
        "credit_s": round(worker.credit_s, 1),
        "batches": worker.batches,
        "audio_s": round(worker.audio_s, 1),
        "x_realtime": None if speed is None else round(speed, 1),
        "out_of_memory": worker.out_of_memory,
    }


def pool_objects(
    snapshot: PoolSnapshot, queue: QueueSnapshot, decisions: Sequence[ScaleDecision]
) -> list[JsonObject]:
    """The pools of one model, for several may serve it; they share its queue and its rate."""
    names = dict.fromkeys(worker.pool or worker.model for worker in snapshot.workers)
    return [
        {
            "pool": name,
            "model": snapshot.model,
            **worker_counts(w for w in snapshot.workers if (w.pool or w.model) == name),
            "rate": None if snapshot.rate is None else round(snapshot.rate, 1),
            "waiting": queue.waiting,
            "waiting_s": round(queue.waiting_s, 1),
            "degraded": snapshot.degraded or None,
            "decisions": [_decision_object(d) for d in reversed(decisions) if d.pool == name][
                :_DECISIONS_TOLD
            ],
        }
        for name in names or (snapshot.model,)
    ]


def worker_counts(workers: Iterable[WorkerSnapshot]) -> JsonObject:
    states = [worker.state for worker in workers]
    return {"ready": states.count(WorkerState.READY), "all": len(states)}


def degradations(pools: Sequence[PoolSnapshot]) -> list[str]:
    """A line for each model that fewer workers serve than should."""
    return [f"model {pool.model}: {pool.degraded}" for pool in pools if pool.degraded]


def _decision_object(decision: ScaleDecision) -> JsonObject:
    return {
        "at": round(decision.at_s, 1),
        "from": decision.from_instances,
        "to": decision.to_instances,
        "reason": decision.reason,
    }


def system_object(info: SystemInfo, version: str, uptime_s: float) -> JsonObject:
    """`GET /v1/system` but for GPUs and warnings, which the machine itself does not tell."""
    return {
        "versions": {"voxfleet": version, **info.versions},
        "system": info.system,
        "uptime_s": round(uptime_s, 1),
        "cpu": {
            "cores": info.cpu.cores,
            "usable_cores": info.cpu.usable,
            "load_average": list(info.cpu.load_average),
            "load_percent": info.cpu.load_percent,
        },
        "memory": {
            "total_mb": info.memory.total_mb,
            "available_mb": info.memory.available_mb,
            "limited": info.memory.limited,
            "gateway_mb": info.memory.process_mb,
        },
        "disk": None
        if info.disk is None
        else {"total_mb": info.disk.total_mb, "free_mb": info.disk.free_mb},
    }


def gpu_object(gpu: GpuSnapshot) -> JsonObject:
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "name": gpu.name,
        "driver": gpu.driver or None,
        "capability": gpu.capability or None,
        "memory_total_mb": round(gpu.memory_total_mb * _MB_PER_MIB),
        "memory_free_mb": round(gpu.memory_free_mb * _MB_PER_MIB),
        "load_percent": gpu.load_percent,
        "temperature_c": gpu.temperature_c,
    }
