"""What a job is: files, options, states and what may follow what. Pure; knows no table, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from voxfleet.core import AudioOptions, RecognitionOptions, TextOptions


class FileState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARTLY_FAILED = "partly_failed"


class Priority(StrEnum):
    """Which files go first; inside one, clients take turns."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Archive(StrEnum):
    """What becomes of a file's source once its text is stored."""

    KEEP = "keep"
    DELETE = "delete"
    MOVE = "move"


#: a file's states, and which may follow each. `running` goes back to `queued` when its server is
#: lost, stops, or met a fault that passes
NEXT: dict[FileState, frozenset[FileState]] = {
    FileState.QUEUED: frozenset({FileState.RUNNING, FileState.CANCELLED}),
    FileState.RUNNING: frozenset(
        {FileState.DONE, FileState.FAILED, FileState.CANCELLED, FileState.QUEUED}
    ),
    FileState.DONE: frozenset(),
    FileState.FAILED: frozenset(),
    FileState.CANCELLED: frozenset(),
}
FINAL_FILES = frozenset(state for state, following in NEXT.items() if not following)
FINAL_JOBS = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.PARTLY_FAILED})


@dataclass(frozen=True, slots=True)
class FileCounts:
    """How many files of a job are in each state."""

    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.queued + self.running + self.finished

    @property
    def finished(self) -> int:
        return self.done + self.failed + self.cancelled


def job_state(counts: FileCounts) -> JobState:
    """The state of a job of at least one file; a job with a cancelled file was cancelled."""
    if counts.queued or counts.running:
        begun = counts.running or counts.finished
        return JobState.RUNNING if begun else JobState.QUEUED
    if counts.cancelled:
        return JobState.CANCELLED
    if counts.done and counts.failed:
        return JobState.PARTLY_FAILED
    return JobState.DONE if counts.done else JobState.FAILED


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How the files are heard and written. `model` is resolved, never empty.

    `use_cache` False: neither a stored result nor stored decoded sound is taken or made.
    """

    model: str
    audio: AudioOptions = field(default_factory=AudioOptions)
    recognition: RecognitionOptions = field(default_factory=RecognitionOptions)
    text: TextOptions = field(default_factory=TextOptions)
    use_cache: bool = True
    archive: Archive = Archive.KEEP


@dataclass(frozen=True, slots=True)
class FileSource:
    """Where a file's bytes are. `name` is unique in its job, and what its owner calls it.

    `place` is the key of a blob for what was uploaded, else an absolute path or a URL.
    """

    name: str
    place: str
    uploaded: bool = False


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to store. `owner` is whose it is and who may see it: a key's id, or "" without keys.

    `client` takes turns with other clients. `digest` tells whether a request with the same
    idempotency key is the same request.
    """

    id: str
    owner: str
    client: str
    options: JobOptions
    files: tuple[FileSource, ...]
    priority: Priority = Priority.NORMAL
    webhook: str | None = None
    idempotency_key: str | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A stored job. `audio_s` is what is known of its files' length, `heard_s` how much is text.

    `version` grows with every change.
    """

    id: str
    owner: str
    client: str
    options: JobOptions
    priority: Priority
    counts: FileCounts
    created_s: float
    started_s: float | None = None
    finished_s: float | None = None
    audio_s: float = 0.0
    heard_s: float = 0.0
    webhook: str | None = None
    version: int = 0

    @property
    def state(self) -> JobState:
        return job_state(self.counts)


@dataclass(frozen=True, slots=True)
class FileFault:
    """Why a file failed, for its owner: a code of `errors`, and one line."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class JobFile:
    """One file of a stored job; `version` is that of the job when the file last changed."""

    position: int
    source: FileSource
    state: FileState
    attempts: int = 0
    fault: FileFault | None = None
    duration_s: float | None = None
    heard_s: float = 0.0
    #: its text is one that was stored before, for the same sound
    cached: bool = False
    started_s: float | None = None
    finished_s: float | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one file for a while. A later claim has a higher token and ends this one."""

    job_id: str
    position: int
    token: int


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """A file to run. `attempts` counts this one; `has_checkpoints`: parts of it are stored."""

    lease: Lease
    source: FileSource
    options: JobOptions
    client: str
    attempts: int
    has_checkpoints: bool = False


@dataclass(frozen=True, slots=True)
class FileProgress:
    """What a heartbeat tells of a running file."""

    lease: Lease
    heard_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class FileResult:
    """A finished text. `content` is the Transcription as `result_codec` writes it."""

    content: bytes
    duration_s: float
    cached: bool = False


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are listed; `owner` None means everybody's."""

    owner: str | None = None
    states: frozenset[JobState] = frozenset()
    created_after_s: float | None = None
    created_before_s: float | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, the newest first; `next_cursor` asks for those after them, None at the end."""

    jobs: tuple[Job, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class ArchiveDue:
    """A finished file whose source is still to be moved or deleted."""

    job_id: str
    position: int
    source: FileSource
    action: Archive


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook message to send. `body` is sent as it is; `attempts` counts those that failed."""

    id: str
    job_id: str
    url: str
    body: bytes
    created_s: float
    attempts: int = 0
