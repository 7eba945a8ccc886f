"""Jobs: files, results, checkpoints, webhooks; stored texts. Never changed once released."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _jobs()
    _job_files()
    _texts()
    _webhooks()


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("client", sa.String(128), nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("queued", "running", "done", "failed", "cancelled")
        ),
        sa.Column("audio_s", sa.Double, nullable=False),
        sa.Column("heard_s", sa.Double, nullable=False),
        sa.Column("webhook", sa.Text),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("started_s", sa.Double),
        sa.Column("finished_s", sa.Double),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("number", name="uq_jobs_number"),
        sa.UniqueConstraint("owner", "idempotency_key", name="uq_jobs_idempotency"),
    )
    op.create_index("ix_jobs_owner", "jobs", ["owner", "number"])
    op.create_index("ix_jobs_state", "jobs", ["state", "number"])
    op.create_index("ix_jobs_owner_state", "jobs", ["owner", "state", "number"])
    op.create_index("ix_jobs_finished", "jobs", ["finished_s"])
    op.create_index("ix_jobs_created", "jobs", ["created_s"])
    op.create_table(
        "job_turns",
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("client", sa.String(128), nullable=False),
        sa.Column("queued", sa.Integer, nullable=False),
        sa.Column("running", sa.Integer, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("priority", "client", name="pk_job_turns"),
    )


def _job_files() -> None:
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("uploaded", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("client", sa.String(128), nullable=False),
        sa.Column("not_before_s", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lost", sa.Integer, nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("server", sa.String(64)),
        sa.Column("lease_until_s", sa.Double),
        sa.Column("fault_code", sa.String(64)),
        sa.Column("fault_message", sa.Text),
        sa.Column("duration_s", sa.Double),
        sa.Column("heard_s", sa.Double, nullable=False),
        sa.Column("cached", sa.Boolean, nullable=False),
        sa.Column("archive_due", sa.String(8), nullable=False),
        sa.Column("started_s", sa.Double),
        sa.Column("finished_s", sa.Double),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_job_files"),
    )
    queue = ["priority", "client", "not_before_s", "number", "position"]
    _partial_index("ix_job_files_queue", "job_files", queue, "state = 'queued'")
    _partial_index("ix_job_files_running", "job_files", ["lease_until_s"], "state = 'running'")
    _partial_index("ix_job_files_archive", "job_files", ["job_id"], "archive_due <> ''")
    _partial_index("ix_job_files_blobs", "job_files", ["place"], "uploaded")
    op.create_index("ix_job_files_changes", "job_files", ["job_id", "version"])


def _texts() -> None:
    op.create_table(
        "job_results",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_job_results"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", "key", name="pk_checkpoints"),
    )
    op.create_table(
        "cached_results",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("used_s", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_cached_results"),
    )
    op.create_index("ix_cached_results_used", "cached_results", ["used_s", "bytes"])


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_s", sa.Double, nullable=False),
        sa.Column("server", sa.String(64)),
        sa.Column("last_fault", sa.Text),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("ended_s", sa.Double),
        sa.Column("delivered", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    _partial_index("ix_webhooks_due", "webhooks", ["next_s"], "ended_s IS NULL")
    _partial_index("ix_webhooks_ended", "webhooks", ["ended_s"], "ended_s IS NOT NULL")


def _partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
