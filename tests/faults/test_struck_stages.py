"""Workers killed and stopped while idle, loading, with a batch unread, computing and answering.

The server is one for all cases: it is whole again after each.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.answer_ledger import crowd, questions
from tests.faults.fault_fleet import (
    FAULT_SETTINGS,
    FaultFleet,
    Row,
    fault_fleet,
    let_pass,
    until,
    until_answers,
)

COMPUTE_S = float(FAULT_SETTINGS["VOXFLEET_FAKE__FIXED_S"])
NUMBERS = [signal.SIGKILL, signal.SIGSTOP]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultFleet]:
    folder: Path = tmp_path_factory.mktemp("struck")
    settings = {
        "VOXFLEET_INSTANCES": "3",
        "VOXFLEET_WORKER__START_TIMEOUT_S": "8",
        "VOXFLEET_FAKE__LOAD_S": "0.7",
    }
    with fault_fleet(folder, settings) as running:
        yield running


#: strikes a worker and tells what it was then
Strike = Callable[[FaultFleet, signal.Signals], Row]


def found(fleet: FaultFleet, wanted: Callable[[Row], bool], what: str) -> Row:
    """Somebody for whom that is so now."""
    rows: list[Row] = []

    def look() -> bool:
        rows[:] = filter(wanted, fleet.rows())
        return bool(rows)

    until(look, what)
    return rows[0]


def while_it_loads_and_requests_wait(fleet: FaultFleet, number: signal.Signals) -> Row:
    for row in fleet.rows():
        fleet.strike(row.id, signal.SIGKILL)
    until(lambda: fleet.queued("waiting") > 0, "requests wait")
    victim = found(fleet, lambda row: row.state == "starting" and row.pid is not None, "one loads")
    fleet.strike(victim.id, number)
    return victim


def with_a_batch_it_has_not_read(fleet: FaultFleet, number: signal.Signals) -> Row:
    victim = fleet.rows()[1]
    fleet.strike(victim.id, signal.SIGSTOP)
    until(lambda: fleet.row(victim.id).in_flight > 0, "a batch is sent to it")
    fleet.strike(victim.id, number)
    return victim


def while_it_computes(fleet: FaultFleet, number: signal.Signals) -> Row:
    victim = found(fleet, lambda row: row.in_flight > 0, "one computes")
    fleet.strike(victim.id, number)
    return victim


def with_its_answer_on_the_way(fleet: FaultFleet, number: signal.Signals) -> Row:
    victim = found(fleet, lambda row: row.in_flight > 0, "one computes")
    assert victim.pid is not None
    with fleet.stopped():
        # the answer is sent by then, and nobody has read it
        let_pass(COMPUTE_S + 0.3)
        os.kill(victim.pid, number)
    return victim


STAGES_UNDER_LOAD: list[Strike] = [
    while_it_loads_and_requests_wait,
    with_a_batch_it_has_not_read,
    while_it_computes,
    with_its_answer_on_the_way,
]
CASES = [
    pytest.param(strike, number, id=f"{number.name}-{strike.__name__}")
    for strike in STAGES_UNDER_LOAD
    for number in (*NUMBERS, signal.SIGTERM)
    # one that is stopped heeds no other signal than SIGKILL
    if (strike, number) != (with_a_batch_it_has_not_read, signal.SIGTERM)
]
#: what a worker is said to have ended of
REASONS = {
    # its death may be noticed by a batch that cannot be sent
    signal.SIGKILL: ("killed by SIGKILL", "is not connected any more"),
    signal.SIGTERM: ("ended with status 0", "killed by SIGTERM", "is not connected any more"),
    signal.SIGSTOP: ("hung", "was not ready"),
}


@pytest.mark.parametrize(("strike", "number"), CASES)
def test_a_worker_struck_under_load(
    fleet: FaultFleet, strike: Strike, number: signal.Signals
) -> None:
    ledger = fleet.ledger()
    with crowd(ledger):
        until_answers(ledger, 4)
        victim = strike(fleet, number)
        fleet.until_ready(victim.id, victim.restarts + 1)
    ledger.check(fleet.log_path)
    fleet.check_whole()
    told = fleet.row(victim.id).last_error or ""
    assert any(reason in told for reason in REASONS[number]), told


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_an_idle_worker_struck(fleet: FaultFleet, number: signal.Signals) -> None:
    ledger = fleet.ledger()
    before = fleet.rows()[0]
    fleet.strike(before.id, number)
    # nobody asks: what is stopped is found by its silence alone
    fleet.until_ready(before.id, before.restarts + 1)
    reason = "SIGKILL" if number is signal.SIGKILL else "no sign of life"
    assert reason in (fleet.row(before.id).last_error or "")
    ledger.ask_all(questions(6))
    ledger.check(fleet.log_path)
    fleet.check_whole()
