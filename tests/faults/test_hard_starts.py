"""Workers that die while they load, have too little memory or are slow: nothing is lost by it."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.faults.answer_ledger import RIGHT, crowd, questions
from tests.faults.fault_fleet import (
    WORKER_MODULE,
    FaultFleet,
    fault_fleet,
    hit,
    let_pass,
    until,
    until_answers,
)

FAILED_TO_LOAD = "ended with status 70"


def test_a_model_that_often_fails_to_load(tmp_path: Path) -> None:
    settings = {
        "VOXFLEET_INSTANCES": "3",
        "VOXFLEET_FAKE__FAULT": "load_exit@0.3",
        # five failed starts in a row are rare and may happen
        "VOXFLEET_FLEET__RESTART_FAILED_AFTER_S": "2",
    }
    with fault_fleet(tmp_path, settings) as fleet:
        ledger = fleet.ledger()
        with crowd(ledger):
            rounds = 0
            # by chance: a few rounds are enough
            while rounds < 3 or fleet.said().count(FAILED_TO_LOAD) < 3:
                assert rounds < 40
                rounds += 1
                until_answers(ledger, 8)
                struck = fleet.children(WORKER_MODULE)
                for worker in struck:
                    hit(worker)
            # a death is seen a moment after the blow, and a row of them is forgiven by a batch
            gone = {worker.pid for worker in struck}
            until(lambda: gone.isdisjoint(row.pid for row in fleet.rows()), "the blows are seen")
            for row in fleet.rows():
                until_gets_on(fleet, row.id)
        ledger.check(fleet.log_path)
        assert ledger.verdicts() == {RIGHT: ledger.answered}


def test_too_little_memory_for_a_full_batch(tmp_path: Path) -> None:
    # what is heard alone fits, and little more
    settings = {"VOXFLEET_INSTANCES": "2", "VOXFLEET_FAKE__OUT_OF_MEMORY_ABOVE_S": "5"}
    with fault_fleet(tmp_path, settings) as fleet:
        ledger = fleet.ledger()
        ledger.ask_all(questions(20))
        ledger.ask_all(questions(20))
        ledger.check(fleet.log_path)
        assert ledger.verdicts() == {RIGHT: 40}
        assert sum(row.out_of_memory for row in fleet.rows()) > 0
        assert fleet.restarts() == 0


def until_gets_on(fleet: FaultFleet, worker_id: str) -> None:
    batches = fleet.row(worker_id).batches
    until(lambda: fleet.row(worker_id).batches > batches, f"{worker_id} finishes a batch")


def test_a_worker_that_stands_still_for_a_while_is_no_hung_one(tmp_path: Path) -> None:
    with fault_fleet(tmp_path, {"VOXFLEET_INSTANCES": "2"}) as fleet:
        ledger = fleet.ledger()
        slow = fleet.rows()[0].id
        with crowd(ledger):
            for _ in range(4):
                until_gets_on(fleet, slow)
                fleet.strike(slow, signal.SIGSTOP)
                # well below worker.min_batch_timeout_s
                let_pass(1.0)
                fleet.strike(slow, signal.SIGCONT)
        ledger.check(fleet.log_path)
        assert ledger.verdicts() == {RIGHT: ledger.answered}
        assert fleet.restarts() == 0
