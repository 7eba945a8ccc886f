"""Who is let in: refuses early what could not be answered in time. Pure: numbers in, verdict out.

Knows nothing of queues or clocks; the pipeline hands in what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.errors import AudioTooLongError, OverloadError, VoxfleetError

#: a refused client is asked to come back no later than this
MAX_RETRY_AFTER_S = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is going on now. `rate` is audio seconds recognised per second by all workers."""

    requests: int
    workers: int
    waiting_s: float
    rate: float


def refuse_crowd(load: Load, max_waiting: int) -> OverloadError | None:
    """Too many requests already: each worker has one in work, `max_waiting` more may wait."""
    if load.requests < load.workers + max_waiting:
        return None
    return OverloadError(
        f"{load.requests} requests are being answered or waiting and no more may wait;"
        " try again later",
        retry_after_s=_retry_after_s(load),
    )


def refuse_length(
    name: str, duration_s: float, load: Load, timeout_s: float
) -> VoxfleetError | None:
    """A recording that cannot be answered within `timeout_s`, alone or behind what waits."""
    own_s = duration_s / load.rate
    if own_s > timeout_s:
        return AudioTooLongError(
            f"{name}: {duration_s:.0f} s of sound need about {own_s:.0f} s here and a request may"
            f" take {timeout_s:.0f} s; send it as a job (POST /v1/jobs, where this server has"
            " them) or run `voxfleet transcribe` on it"
        )
    if own_s + load.waiting_s / load.rate > timeout_s:
        return OverloadError(
            f"{name}: {load.waiting_s:.0f} s of sound wait before it and a request may take"
            f" {timeout_s:.0f} s; try again later or send it as a job (POST /v1/jobs, where this"
            " server has them)",
            retry_after_s=_retry_after_s(load),
        )
    return None


def _retry_after_s(load: Load) -> float:
    return min(MAX_RETRY_AFTER_S, max(1.0, load.waiting_s / load.rate))
