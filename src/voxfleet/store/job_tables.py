"""The tables of jobs, as statements name them; knows no file and no connection.

Counts are kept in the rows they are of, changed with what they count: nothing is ever counted by
walking a hundred thousand rows.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    Named,
    String,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    text,
)

from voxfleet.store.tables import metadata

_ID = String(40)


class JobColumns(TypedColumns):
    id: Named[str] = Column(_ID, primary_key=True)
    #: grows with every job: the order of listing, and of age
    number: Named[int] = Column(BigInteger, unique=True)
    owner: Named[str] = Column(String(64))
    client: Named[str] = Column(String(128))
    #: JSON of `jobs.job.JobOptions`
    options: Named[str] = Column(Text)
    #: 0 low, 1 normal, 2 high
    priority: Named[int] = Column(Integer)
    state: Named[str] = Column(String(16))
    queued: Named[int] = Column(Integer)
    running: Named[int] = Column(Integer)
    done: Named[int] = Column(Integer)
    failed: Named[int] = Column(Integer)
    cancelled: Named[int] = Column(Integer)
    audio_s: Named[float] = Column(Double)
    heard_s: Named[float] = Column(Double)
    webhook: Named[str | None] = Column(Text)
    idempotency_key: Named[str | None] = Column(String(255))
    #: of the request, to tell another one with the same key
    digest: Named[str] = Column(String(64))
    created_s: Named[float] = Column(Double)
    started_s: Named[float | None] = Column(Double)
    finished_s: Named[float | None] = Column(Double)
    version: Named[int] = Column(Integer)


class JobFileColumns(TypedColumns):
    job_id: Named[str] = Column(_ID, primary_key=True)
    position: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    name: Named[str] = Column(Text)
    place: Named[str] = Column(Text)
    uploaded: Named[bool] = Column(Boolean)
    state: Named[str] = Column(String(16))
    #: those of its job, for claiming without a join; `number` is the job's
    number: Named[int] = Column(BigInteger)
    priority: Named[int] = Column(Integer)
    client: Named[str] = Column(String(128))
    #: 0 when it may be claimed at any time
    not_before_s: Named[float] = Column(Double)
    attempts: Named[int] = Column(Integer)
    #: how often its server was lost while it ran
    lost: Named[int] = Column(Integer)
    #: of the last claim; every claim adds one
    token: Named[int] = Column(Integer)
    server: Named[str | None] = Column(String(64))
    lease_until_s: Named[float | None] = Column(Double)
    fault_code: Named[str | None] = Column(String(64))
    fault_message: Named[str | None] = Column(Text)
    duration_s: Named[float | None] = Column(Double)
    heard_s: Named[float] = Column(Double)
    cached: Named[bool] = Column(Boolean)
    #: what is still to be done with the source: "", "delete" or "move"
    archive_due: Named[str] = Column(String(8))
    started_s: Named[float | None] = Column(Double)
    finished_s: Named[float | None] = Column(Double)
    version: Named[int] = Column(Integer)


class JobResultColumns(TypedColumns):
    job_id: Named[str] = Column(_ID, primary_key=True)
    position: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    content: Named[bytes] = Column(LargeBinary)


class CheckpointColumns(TypedColumns):
    """A finished segment of an unfinished file."""

    job_id: Named[str] = Column(_ID, primary_key=True)
    position: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    key: Named[str] = Column(String(128), primary_key=True)
    content: Named[bytes] = Column(LargeBinary)


class JobTurnColumns(TypedColumns):
    """How many files of a client are queued and running at a priority: whose turn is next."""

    priority: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    client: Named[str] = Column(String(128), primary_key=True)
    queued: Named[int] = Column(Integer)
    running: Named[int] = Column(Integer)
    #: grows with every claim: of equals, whose turn is longest ago
    turn: Named[int] = Column(BigInteger)


class WebhookColumns(TypedColumns):
    """A message of the outbox; delivered_s and given_up_s tell how it ended."""

    id: Named[str] = Column(_ID, primary_key=True)
    job_id: Named[str] = Column(_ID)
    url: Named[str] = Column(Text)
    body: Named[bytes] = Column(LargeBinary)
    attempts: Named[int] = Column(Integer)
    next_s: Named[float] = Column(Double)
    server: Named[str | None] = Column(String(64))
    last_fault: Named[str | None] = Column(Text)
    created_s: Named[float] = Column(Double)
    ended_s: Named[float | None] = Column(Double)
    delivered: Named[bool] = Column(Boolean)


class CachedResultColumns(TypedColumns):
    #: SHA-256 in hexadecimal
    key: Named[str] = Column(String(64), primary_key=True)
    content: Named[bytes] = Column(LargeBinary)
    bytes: Named[int] = Column(Integer)
    created_s: Named[float] = Column(Double)
    #: written at most once an hour
    used_s: Named[float] = Column(Double)


jobs = Table(
    "jobs",
    metadata,
    JobColumns,
    UniqueConstraint("owner", "idempotency_key", name="uq_jobs_idempotency"),
    Index("ix_jobs_owner", "owner", "number"),
    Index("ix_jobs_state", "state", "number"),
    Index("ix_jobs_owner_state", "owner", "state", "number"),
    Index("ix_jobs_finished", "finished_s"),
    Index("ix_jobs_created", "created_s"),
)
job_files = Table(
    "job_files",
    metadata,
    JobFileColumns,
    Index(
        "ix_job_files_queue",
        "priority",
        "client",
        "not_before_s",
        "number",
        "position",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_job_files_running",
        "lease_until_s",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
    Index(
        "ix_job_files_archive",
        "job_id",
        sqlite_where=text("archive_due <> ''"),
        postgresql_where=text("archive_due <> ''"),
    ),
    Index(
        "ix_job_files_blobs",
        "place",
        sqlite_where=text("uploaded"),
        postgresql_where=text("uploaded"),
    ),
    Index("ix_job_files_changes", "job_id", "version"),
)
job_results = Table("job_results", metadata, JobResultColumns)
checkpoints = Table("checkpoints", metadata, CheckpointColumns)
job_turns = Table("job_turns", metadata, JobTurnColumns)
webhooks = Table(
    "webhooks",
    metadata,
    WebhookColumns,
    Index(
        "ix_webhooks_due",
        "next_s",
        sqlite_where=text("ended_s IS NULL"),
        postgresql_where=text("ended_s IS NULL"),
    ),
    Index(
        "ix_webhooks_ended",
        "ended_s",
        sqlite_where=text("ended_s IS NOT NULL"),
        postgresql_where=text("ended_s IS NOT NULL"),
    ),
)
cached_results = Table(
    "cached_results",
    metadata,
    CachedResultColumns,
    Index("ix_cached_results_used", "used_s", "bytes"),
)
