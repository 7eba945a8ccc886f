"""A disk without room: requests are refused for a while, what lives goes on, and all is well after.

The data directory lies on a small file system of its own, which takes root and `mount`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.answer_ledger import RIGHT, Ledger, Question, Verdict, crowd, question, questions
from tests.faults.fault_fleet import (
    MEDIA_MODULE,
    WORKER_MODULE,
    FaultFleet,
    fault_fleet,
    hit,
    until,
    until_answers,
)

FULL: Verdict = (503, "overloaded")
#: an upload of 2 s, and its decoded sound once more
SOUND_BYTES = 64_000
PAGE_BYTES = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can only be mounted by root")
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Ballast:
    """Fills the disk up to so many bytes."""

    def __init__(self, disk: Path) -> None:
        self._path = disk / "ballast"

    def leave(self, free_bytes: int) -> None:
        self.drop()
        there = os.statvfs(self._path.parent)
        size = there.f_bavail * there.f_frsize - free_bytes // PAGE_BYTES * PAGE_BYTES
        self._path.write_bytes(bytes(size))

    def fill(self) -> None:
        """To the last byte; again and again, as requests that end give back what they had."""
        with self._path.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(PAGE_BYTES))

    def drop(self) -> None:
        self._path.unlink(missing_ok=True)


def until_refused(ledger: Ledger, ballast: Ballast) -> None:
    """The disk is full, and twenty more have been told so."""
    wanted = ledger.verdicts()[FULL] + 20

    def reached() -> bool:
        ballast.fill()
        return ledger.verdicts()[FULL] >= wanted

    until(reached, "requests are refused for want of room")


@pytest.fixture
def fleet(tmp_path: Path, small_disk: Path) -> Iterator[FaultFleet]:
    settings = {
        "VOXFLEET_INSTANCES": "2",
        "VOXFLEET_FAKE__FIXED_S": "0.1",
        # the disk of this test is smaller than what is asked for by default
        "VOXFLEET_SERVER__MIN_FREE_DISK_MB": "0",
    }
    with fault_fleet(tmp_path, settings, data_dir=small_disk / "data") as running:
        yield running


def test_no_room_for_an_upload_nor_for_decoded_sound(fleet: FaultFleet, small_disk: Path) -> None:
    ballast, ledger = Ballast(small_disk), fleet.ledger()
    told = []
    # the second: room for the upload, and too little for its sound
    for free_bytes in (SOUND_BYTES // 2, SOUND_BYTES * 3 // 2):
        ballast.leave(free_bytes)
        answer = ledger.ask_once(question(1, 2.0, allowed=frozenset({FULL})))
        assert answer
        told.append(answer.message)
        until(lambda: fleet.files() == [], "nothing of it is left")
    assert "no room for the upload" in told[0]
    assert "no disk space is left for decoded sound" in told[1]
    ballast.drop()
    ledger.ask_all(questions(4))
    ledger.check(fleet.log_path)
    assert ledger.verdicts() == {FULL: 2, RIGHT: 4}


def test_full_under_load_with_processes_dying_meanwhile(
    fleet: FaultFleet, small_disk: Path
) -> None:
    ballast, ledger = Ballast(small_disk), fleet.ledger()
    allowed = frozenset({RIGHT, FULL})
    asked: list[Question] = [question(seed, 2.0, allowed=allowed) for seed in range(20)]
    with crowd(ledger, 6, asked):
        until_answers(ledger, 10)
        assert set(ledger.verdicts()) == {RIGHT}
        until_refused(ledger, ballast)
        for module in (WORKER_MODULE, MEDIA_MODULE):
            hit(fleet.children(module)[0])
        until_refused(ledger, ballast)
        ballast.drop()
        right = ledger.verdicts()[RIGHT]
        until(lambda: ledger.verdicts()[RIGHT] > right + 20, "there is room again")
    ledger.check(fleet.log_path)
