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
    """What is going on now.

    `waiting_s` is the sound that waits, with an estimate for requests that are let in but not yet
    cut. `rate`, above 0, is audio seconds recognised per second by all workers; unless it is
    `measured`, it is a guess.
    """

    requests: int
    workers: int
    waiting_s: float
    rate: float
    measured: bool

    @property
    def wait_s(self) -> float:
        """How long who comes now will wait."""
        return self.waiting_s / self.rate


def refuse_crowd(
    load: Load, max_waiting: int, max_wait_s: float, max_requests: int
) -> OverloadError | None:
    """Each worker has one in work and `max_waiting` more may wait, whatever the estimate says.

    Beyond them the wait decides, once the rate is measured, up to `max_requests` in all.
    """
    if load.requests < load.workers + max_waiting:
        return None
    if load.requests >= max_requests or not load.measured:
        return OverloadError(
            f"{load.requests} requests are being answered or waiting and no more may wait;"
            " try again later",
            retry_after_s=_retry_after_s(load),
        )
    if load.wait_s <= max_wait_s:
        return None
    return OverloadError(
        f"a request would wait about {load.wait_s:.0f} s here and may wait {max_wait_s:.0f} s;"
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
            f"{name}: {duration_s:.0f} s of sound need about {own_s:.3g} s here and a request may"
            f" take {timeout_s:g} s; send it as a job (POST /v1/jobs, where this server has"
            " them) or run `voxfleet transcribe` on it"
        )
    if own_s + load.wait_s > timeout_s:
        return OverloadError(
            f"{name}: {load.waiting_s:.0f} s of sound wait before it and a request may take"
            f" {timeout_s:g} s; try again later or send it as a job (POST /v1/jobs, where this"
            " server has them)",
            retry_after_s=_retry_after_s(load),
        )
    return None


def _retry_after_s(load: Load) -> float:
    """The wait itself: who comes back then finds what was before it now just done.

    There may be room earlier, in a second under lasting overload, but then for few of those who
    were refused: they would all ask every second, and more of them each second. Coming back when
    the queue of now ends, nobody asks in vain as often and no worker has been without work.
    """
    return min(MAX_RETRY_AFTER_S, max(1.0, load.wait_s))
