"""`kill -9` of a random worker every half second, and no request notices."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.answer_ledger import RIGHT, Question, crowd, wav_body
from tests.faults.fault_fleet import (
    WORKER_MODULE,
    FaultFleet,
    fault_fleet,
    hit,
    let_pass,
    until,
    until_answers,
)
from tests.tone_speech import Manner, heard, speak

TONE = Path(__file__).resolve().parent.parent / "checkpoints" / "tone"
TONE_TEXTS = [
    "你好天地人|大他中国上下|左右东西南北|山水火木金土",
    "日月星风云|雨雪花草鸟鱼|马小你好 vox|ok fleet 天地",
    "人大中国|小马鱼鸟草花|山水 ok 天地人",
    "vox fleet 你好|上下左右|东西南北中国|火木金土",
]
STORM_S, EVERY_S = 30.0, 0.5


def kill_random_workers(
    fleet: FaultFleet,
    seconds: float,
    every_s: float,
    seed: int,
    number: signal.Signals = signal.SIGKILL,
) -> int:
    """Whoever is there, also while it loads; how many were hit."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    killed = 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        next_s = time.monotonic() + every_s
        workers = fleet.children(WORKER_MODULE)
        if workers:
            killed += hit(chance.choice(workers), number)
        let_pass(max(0.0, next_s - time.monotonic()))
    return killed


def test_half_a_minute_of_kills_fails_no_request(tmp_path: Path) -> None:
    settings = {"VOXFLEET_INSTANCES": "4", "VOXFLEET_FAKE__FIXED_S": "0.2"}
    with fault_fleet(tmp_path, settings) as fleet:
        ledger = fleet.ledger()
        with crowd(ledger, clients=12):
            until_answers(ledger, 10)
            killed = kill_random_workers(fleet, STORM_S, EVERY_S, seed=4)
            # only work makes a worker that died again and again one that serves
            until(fleet.all_serve, "the fleet is well again")
        ledger.check(fleet.log_path)
        assert ledger.verdicts() == {RIGHT: ledger.answered}
        assert ledger.answered > 100
        assert killed > STORM_S
        assert killed * 0.9 <= fleet.restarts() <= killed


def test_workers_told_to_leave_blame_no_sound(tmp_path: Path) -> None:
    """Few clients, so that most batches are of one segment, which could be blamed for an end."""
    settings = {"VOXFLEET_INSTANCES": "3", "VOXFLEET_FAKE__FIXED_S": "0.1"}
    with fault_fleet(tmp_path, settings) as fleet:
        ledger = fleet.ledger()
        with crowd(ledger, clients=3):
            until_answers(ledger, 4)
            assert kill_random_workers(fleet, 15.0, 0.3, 5, signal.SIGTERM) > 20
            until(fleet.all_serve, "the fleet is well again")
        ledger.check(fleet.log_path)
        assert ledger.verdicts() == {RIGHT: ledger.answered}


def test_the_exact_texts_of_a_real_model_survive_kills(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    asked = [
        Question(f"tone-{at}", wav_body(speak(text, Manner(pause_s=1.2), at).samples), heard(text))
        for at, text in enumerate(TONE_TEXTS * 3)
    ]
    settings = {
        "VOXFLEET_MODEL": str(TONE),
        "VOXFLEET_INSTANCES": "2",
        "VOXFLEET_AUDIO__VAD": "energy",
    }
    with fault_fleet(tmp_path, settings) as fleet:
        ledger = fleet.ledger()
        with crowd(ledger, clients=6, asked=asked):
            for round_number in range(3):
                until_answers(ledger, 12)
                assert kill_random_workers(fleet, 0.1, 0.1, round_number) == 1
            until(fleet.all_serve, "both are back")
        ledger.check(fleet.log_path)
        assert ledger.verdicts() == {RIGHT: ledger.answered}
        assert fleet.restarts() == 3
