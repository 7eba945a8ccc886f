"""What the routes need: a speech service and settings; and the JSON objects they answer with.

`transcribe.pipeline.TranscriptionService` is such a service. Knows no route and no HTTP.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxfleet.core import EngineInfo, Transcription, VadMode
from voxfleet.pool_contract import PoolSnapshot, QueueSnapshot
from voxfleet.transcribe.pipeline import TranscribeRequest

JsonObject = dict[str, object]


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
    def ready(self) -> bool:
        """Whether a request that comes now can be answered."""
        ...

    def reason(self) -> str:
        """Why not; empty when it can."""
        ...

    def admitted(self) -> AbstractContextManager[None]:
        """Holds a place; raises OverloadError when one more request would wait too long."""
        ...

    async def transcribe(self, request: TranscribeRequest) -> Transcription: ...


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What the gateway takes from the settings; `started_at_s` is the Unix time of the start."""

    upload_dir: Path
    version: str
    max_upload_mb: int = 1000
    request_timeout_s: float = 300
    default_vad: VadMode = VadMode.AUTO
    started_at_s: int = 0


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
