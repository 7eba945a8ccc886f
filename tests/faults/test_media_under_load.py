"""Media processes killed and stopped, idle and at work: every recording is still heard."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.faults.answer_ledger import RIGHT, Ledger, Question, crowd, questions, wav_body
from tests.faults.fault_fleet import (
    LIMIT_S,
    MEDIA_MODULE,
    FaultFleet,
    fault_fleet,
    hit,
    until,
    until_answers,
)
from tests.integration.worker_rig import noise
from voxfleet.media.turn_file import read_turn

#: a file of 100 s has many turns, and is cut into several segments
SETTINGS = {
    "VOXFLEET_INSTANCES": "2",
    "VOXFLEET_FAKE__FIXED_S": "0.05",
    "VOXFLEET_MEDIA__SLICE_S": "2",
    "VOXFLEET_MEDIA__STEP_TIMEOUT_S": "2",
}
CLIENTS = 4


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultFleet]:
    with fault_fleet(tmp_path_factory.mktemp("media"), SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def recordings(fleet: FaultFleet) -> list[Question]:
    """Long ones, with the texts they have where nothing disturbs."""
    found = []
    for seed in range(4):
        unknown = Question(f"long-{seed}", wav_body(noise(100.0, seed)), "")
        heard = Ledger(str(fleet.client.base_url), LIMIT_S).ask_once(unknown)
        assert heard
        assert heard.verdict == RIGHT
        assert len(heard.text.split()) > 190
        found.append(replace(unknown, text=heard.text))
    assert len({each.text for each in found}) == len(found)
    return found


def strike_at_work(fleet: FaultFleet, number: signal.Signals) -> psutil.Process:
    """Hit a process in the middle of a turn; it is stopped first and looked at then."""
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        for process in fleet.children(MEDIA_MODULE):
            process.suspend()
            if _in_work(fleet, process):
                process.send_signal(number)
                return process
            process.resume()
    raise AssertionError("no process was ever at work")


def _in_work(fleet: FaultFleet, process: psutil.Process) -> str | None:
    turn_file = next(part for part in process.cmdline() if part.endswith(".turn"))
    return read_turn(fleet.data_dir / "spool" / Path(turn_file).name)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
def test_struck_while_decoding(
    fleet: FaultFleet, recordings: list[Question], number: signal.Signals
) -> None:
    ledger = fleet.ledger()
    with crowd(ledger, CLIENTS, recordings):
        for _ in range(3):
            process = strike_at_work(fleet, number)
            psutil.wait_procs([process], timeout=LIMIT_S)
            until(fleet.all_serve, "there is a new one")
            # nobody is hit twice, which would be taken for its own fault
            until_answers(ledger, 2 * CLIENTS)
    ledger.check(fleet.log_path)
    assert ledger.verdicts() == {RIGHT: ledger.answered}
    fleet.check_whole()


def test_all_killed_while_idle(fleet: FaultFleet) -> None:
    ledger = fleet.ledger()
    for process in fleet.children(MEDIA_MODULE):
        hit(process)
    ledger.ask_all(questions(6))
    ledger.check(fleet.log_path)
    assert ledger.verdicts() == {RIGHT: 6}
    fleet.check_whole()
