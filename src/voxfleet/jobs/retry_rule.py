"""What becomes of a file of a job after a fault: another try, and when, or an end. Pure.

Knows no queue and no clock. Faults of whoever sent the file end it, faults that pass and the
server's own are tried again, and a server without a model says nothing about the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfleet.errors import Fault, NotFoundError, NotReadyError, VoxfleetError

_FIRST_S = 5.0
_TIMES = 4.0
_LONGEST_S = 600.0
#: the share of a delay that is left to chance: files that failed together come back one by one
_CHANCE = 0.25

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Again:
    """The file goes back into the queue for so long; `counts`: one of its attempts is used up."""

    after_s: float
    counts: bool = True


def next_try(
    fault: VoxfleetError, attempts: int, most: int, *, jitter: float, stopping: bool = False
) -> Again | None:
    """None: it has failed. `attempts` counts the one that failed, `jitter` is from 0 to 1."""
    if isinstance(fault, NotReadyError):
        return Again(0.0, counts=False)
    if not passes(fault):
        return None
    if stopping and fault.fault is Fault.SERVER:
        # workers may be told to stop at the same moment as their server
        return Again(0.0, counts=False)
    if attempts >= most:
        return None
    return Again(delay_s(attempts, jitter, fault.retry_after_s or 0.0))


def passes(fault: VoxfleetError) -> bool:
    """Whether the same file may have a text later."""
    if isinstance(fault, NotFoundError) and fault.param == "model":
        # it was there when the job was taken: it is being loaded again, or another server has it
        return True
    return fault.retryable or fault.fault is Fault.SERVER


def delay_s(failures: int, jitter: float, at_least_s: float = 0.0) -> float:
    """How long to wait after so many failures: 5 s, 20 s, 80 s … ten minutes at most."""
    # nobody fails ten times before the longest delay, and a power of thousands is no float
    grown_s = _FIRST_S * _TIMES ** min(max(failures - 1, 0), 10)
    spread = 1.0 - _CHANCE + _CHANCE * jitter
    return min(_LONGEST_S, max(at_least_s, min(_LONGEST_S, grown_s) * spread))


def pause_s(failures: int) -> float:
    """How long to leave a database alone that failed so often in a row."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(max(failures - 1, 0), 10))
