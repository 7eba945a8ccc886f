"""A card that is lost under load: all who share it start again, whatever their pool, and no others.

The cards are simulated; the fault is real: the worker's process ends because of it.
"""

from __future__ import annotations

from pathlib import Path

from tests.faults.answer_ledger import POISON, crowd, question
from tests.faults.fault_fleet import fault_fleet, until, until_answers

POOLS = """
[fleet]
simulated_gpus = [8, 8]

[fake]
fault = "device@device"

[[pool]]
name = "first"
model = "fake"
device = "cuda:0"
instances = 2

[[pool]]
name = "second"
model = "fake"
device = "cuda:0"

[[pool]]
name = "elsewhere"
model = "fake"
device = "cuda:1"
"""


def test_all_who_share_the_card_start_again_and_no_others(tmp_path: Path) -> None:
    with fault_fleet(tmp_path, pools=POOLS) as fleet:
        ledger = fleet.ledger()
        with crowd(ledger):
            until_answers(ledger, 4)
            # whatever loses the device twice, alone, is not tried a third time
            ledger.ask_once(question(1, 2.0, "device", frozenset({POISON})))
            until(fleet.all_serve, "all are back")
        ledger.check(fleet.log_path)
        assert ledger.verdicts("device") == {POISON: 1}
        rows = fleet.rows()
        lost = {row.device for row in rows if "lost its device" in (row.last_error or "")}
        assert lost
        # nobody on another card was touched
        assert {row.device for row in rows if row.restarts} == lost
        assert all(row.restarts > 0 for row in rows if row.device in lost)
