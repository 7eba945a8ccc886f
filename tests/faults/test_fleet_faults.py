"""Faults of the engine under load: who sent the sound hears of it, everybody else gets their text.

One server for all cases; a hotword aims each fault at the requests that carry it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.answer_ledger import POISON, RIGHT, Verdict, crowd, question
from tests.faults.fault_fleet import FaultFleet, fault_fleet, until_answers

ENGINE_FAULT: Verdict = (500, "engine_fault")


@dataclass(frozen=True)
class Case:
    """What the sender hears, and what a worker is restarted for; "" for no restart at all."""

    fault: str
    verdict: Verdict
    restarted_for: str = ""


CASES = [
    Case("crash", POISON, "ended with status 70"),
    Case("hang", POISON, "hung"),
    Case("corrupt", POISON, "answered nonsense"),
    Case("exit", POISON, "ended with status 0"),
    Case("wrong_count", ENGINE_FAULT),
    Case("out_of_memory", ENGINE_FAULT),
    Case("garbage", ENGINE_FAULT),
    Case("broken", ENGINE_FAULT),
    Case("error", (422, "recognition_failed")),
    Case("slow", RIGHT),
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultFleet]:
    faults = ",".join(f"{case.fault}@{case.fault}" for case in CASES)
    folder: Path = tmp_path_factory.mktemp("faults")
    settings = {"VOXFLEET_FAKE__FAULT": faults, "VOXFLEET_INSTANCES": "3"}
    with fault_fleet(folder, settings) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_only_the_sender_hears_of_it(fleet: FaultFleet, case: Case) -> None:
    ledger = fleet.ledger()
    allowed = frozenset({case.verdict})
    # a time of learning, so that a hang is known for one
    ledger.ask_once(question(1))
    before = fleet.restarts()
    with crowd(ledger):
        until_answers(ledger, 4)
        ledger.ask_all([question(seed, 2.0, case.fault, allowed) for seed in (1, 2)])
    ledger.check(fleet.log_path)
    assert ledger.verdicts(case.fault) == {case.verdict: 2}
    fleet.check_whole()
    restarted = fleet.restarts() - before
    assert (restarted > 0) == bool(case.restarted_for)
    if restarted:
        assert any(case.restarted_for in (row.last_error or "") for row in fleet.rows())


def test_poison_at_several_instances_is_refused_the_next_time(fleet: FaultFleet) -> None:
    ledger = fleet.ledger()
    poison = [question(seed, 2.0, "crash", frozenset({POISON})) for seed in range(10, 16)]
    with crowd(ledger):
        until_answers(ledger, 4)
        ledger.ask_all(poison)
    fleet.check_whole()
    before = fleet.restarts()
    ledger.ask_all(poison)
    # the same sound without the hotword is another request, and a good one
    ledger.ask_all([question(seed) for seed in range(10, 16)])
    ledger.check(fleet.log_path)
    assert ledger.verdicts("crash") == {POISON: 12}
    assert fleet.restarts() == before
