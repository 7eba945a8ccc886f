"""How a worker's life ended, told in words and counted by its cause."""

from __future__ import annotations

import signal

import pytest

from voxfleet.errors import StartError
from voxfleet.fleet.life_end import LifeEnd
from voxfleet.fleet.worker_slot import RestartPolicy, WorkerSlot
from voxfleet.pool_contract import RestartCause
from voxfleet.worker_process import DEVICE_FAULT_STATUS, START_FAILED_STATUS

SILENT = RestartCause.SILENT


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (LifeEnd(exit_status=None), RestartCause.START_FAILED),
        (LifeEnd(exit_status=START_FAILED_STATUS), RestartCause.START_FAILED),
        (LifeEnd(start_fault=StartError("no"), exit_status=1), RestartCause.START_FAILED),
        (LifeEnd(exit_status=-signal.SIGKILL), RestartCause.KILLED),
        (LifeEnd(exit_status=-signal.SIGTERM), RestartCause.KILLED),
        (LifeEnd(exit_status=-signal.SIGSEGV), RestartCause.CRASHED),
        (LifeEnd(exit_status=99), RestartCause.CRASHED),
        (LifeEnd(exit_status=0), RestartCause.CRASHED),
        (LifeEnd(exit_status=DEVICE_FAULT_STATUS), RestartCause.DEVICE_FAULT),
        # ended by us: why we did it counts, not the signal that it took
        (LifeEnd("said nothing", SILENT, exit_status=-signal.SIGKILL), SILENT),
        (LifeEnd("said nothing", SILENT, exit_status=DEVICE_FAULT_STATUS), SILENT),
    ],
)
def test_causes(end: LifeEnd, cause: RestartCause) -> None:
    assert end.cause is cause


def test_only_somebody_elses_signal_is_from_outside() -> None:
    assert LifeEnd(exit_status=-signal.SIGKILL).from_outside
    assert not LifeEnd("hung", exit_status=-signal.SIGKILL).from_outside
    assert not LifeEnd(exit_status=-signal.SIGSEGV).from_outside


def test_words_of_its_own_come_first() -> None:
    told = LifeEnd("was killed", start_fault=StartError("no such model"), exit_status=1)
    assert told.how(1) == "could not start: no such model"
    assert LifeEnd("hung", exit_status=-9).how(-9) == "hung"
    assert LifeEnd(exit_status=-9).how(-9) == "killed by SIGKILL"


def test_a_slot_counts_each_restart_by_what_ended_the_life_before_it() -> None:
    slot = WorkerSlot("w-0")
    slot.begin_life()
    for cause in (RestartCause.KILLED, RestartCause.HUNG, RestartCause.KILLED):
        slot.end_life("ended", RestartPolicy(), cause)
        slot.begin_life()
    slot.become_ready()
    slot.leave()
    # an end that nothing has followed yet is no restart
    assert slot.snapshot("m", "cpu").restarts_by_cause == {"killed": 2, "hung": 1}
    slot.end_life("left", RestartPolicy(), RestartCause.ORDERED)
    slot.begin_life()
    row = slot.snapshot("m", "cpu")
    assert row.restarts_by_cause == {"killed": 2, "hung": 1, "ordered": 1}
    assert sum(row.restarts_by_cause.values()) == row.restarts
