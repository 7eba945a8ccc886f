"""Faults while something else goes on: a deadline, a crowd at the door, a reload, the end."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

from tests.faults.answer_ledger import RIGHT, Verdict, crowd, question, questions
from tests.faults.fault_fleet import (
    WORKER_MODULE,
    FaultFleet,
    fault_fleet,
    hit,
    let_pass,
    until,
    until_answers,
)

LATE: Verdict = (504, "deadline_passed")
FULL: Verdict = (503, "overloaded")


def kill_one(fleet: FaultFleet, chance: random.Random) -> None:
    workers = fleet.children(WORKER_MODULE)
    if workers:
        hit(chance.choice(workers))


def test_a_deadline_holds_though_every_worker_hangs(tmp_path: Path) -> None:
    deadline_s = 2.0
    settings = {
        "VOXFLEET_INSTANCES": "2",
        "VOXFLEET_SERVER__REQUEST_TIMEOUT_S": f"{deadline_s:g}",
        "VOXFLEET_WORKER__MIN_BATCH_TIMEOUT_S": "5",
    }
    allowed = frozenset({RIGHT, LATE})
    with fault_fleet(tmp_path, settings) as fleet:
        ledger = fleet.ledger(deadline_s)
        with crowd(ledger, 4, [question(seed, allowed=allowed) for seed in range(20)]):
            until_answers(ledger, 8)
            for row in fleet.rows():
                fleet.strike(row.id, signal.SIGSTOP)
            until(lambda: ledger.verdicts()[LATE] >= 4, "what waits is told that it is too late")
            until(lambda: fleet.restarts() == 2 and fleet.all_serve(), "both are replaced")
            right = ledger.verdicts()[RIGHT]
            until(lambda: ledger.verdicts()[RIGHT] > right + 8, "texts again")
        ledger.check(fleet.log_path)


def test_who_is_refused_at_the_door_is_told_when_to_come_back(tmp_path: Path) -> None:
    settings = {"VOXFLEET_INSTANCES": "3", "VOXFLEET_QUEUE__MAX_WAITING": "1"}
    allowed = frozenset({RIGHT, FULL})
    chance = random.Random(1)  # noqa: S311 - no secret
    with fault_fleet(tmp_path, settings) as fleet:
        ledger = fleet.ledger()
        with crowd(ledger, 10, [question(seed, allowed=allowed) for seed in range(20)]):
            for _ in range(8):
                until_answers(ledger, 10)
                kill_one(fleet, chance)
                let_pass(0.5)
            until(fleet.all_serve, "all are back")
        ledger.check(fleet.log_path)
        assert ledger.verdicts()[RIGHT] > 8
        assert ledger.verdicts()[FULL] > 0


POOLS = """
[[pool]]
model = "fake"
instances = 3

[pool.env]
ROUND = "{round}"
"""


def reload_with_a_kill(fleet: FaultFleet, pools: Path, round_number: int) -> None:
    """The workers have an environment that makes new ones necessary; one dies meanwhile."""
    before, done = {row.id for row in fleet.rows()}, fleet.said().count(" reload: ")
    pools.write_text(POOLS.format(round=round_number), encoding="utf-8")
    assert fleet.client.post("/v1/fleet/reload").status_code == 202
    until(lambda: {row.id for row in fleet.rows()} != before, "the reload begins")
    kill_one(fleet, random.Random(round_number))  # noqa: S311 - no secret
    # what it does, and that it is done or could not be
    until(lambda: fleet.said().count(" reload: ") >= done + 2, "the reload ends")


def test_a_reload_under_kills_loses_nothing(tmp_path: Path) -> None:
    with fault_fleet(tmp_path, pools=POOLS.format(round=0)) as fleet:
        ledger = fleet.ledger()
        with crowd(ledger):
            for round_number in range(1, 4):
                until_answers(ledger, 8)
                reload_with_a_kill(fleet, tmp_path / "pools.toml", round_number)
            until(fleet.all_serve, "all serve")
        ledger.check(fleet.log_path)
        assert ledger.verdicts() == {RIGHT: ledger.answered}
        until(lambda: len(fleet.rows()) == 3, "as many as before")


def test_the_end_answers_what_was_taken_in_though_a_worker_hangs(tmp_path: Path) -> None:
    with fault_fleet(tmp_path, {"VOXFLEET_INSTANCES": "2"}) as fleet:
        ledger = fleet.ledger()
        ledger.ask_all(questions(4))
        victim = fleet.rows()[0].id
        fleet.strike(victim, signal.SIGSTOP)
        asking = threading.Thread(target=ledger.ask_all, args=(questions(12),))
        asking.start()
        until(lambda: fleet.row(victim).in_flight > 0, "the stopped worker has a batch")
        # who is answered is in work no more: nobody is counted twice
        until(lambda: ledger.answered + fleet.queued("requests") == 16, "all are taken in")
        begun_s = time.monotonic()
        fleet.stop()
        asking.join()
        ledger.check(fleet.log_path)
        assert ledger.verdicts() == {RIGHT: 16}
        assert time.monotonic() - begun_s < 30
