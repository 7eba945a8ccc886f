"""The wall clock jumps by an hour, forwards and back: no worker is accused, no request is late.

The monotonic clock is left alone, as by whoever corrects the time. Needs a C compiler (`cc`), for a
library that stands before the system's clock.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.answer_ledger import RIGHT, crowd
from tests.faults.fault_fleet import FaultFleet, fault_fleet, until_answers

HOUR_S = 3600
CLOCK_C = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump_s(void) {
    char text[32] = {0};
    const char *path = getenv("CLOCK_JUMP_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    return size > 0 ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += jump_s();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    if (!failed) {
        now->tv_sec = precise.tv_sec;
        now->tv_usec = precise.tv_nsec / 1000;
    }
    return failed;
}

time_t time(time_t *kept) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """What the server believes the time to be, by its difference from the true one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "clock"
        self.set(0)

    def set(self, ahead_s: int) -> None:
        self.path.write_text(f"{ahead_s}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) is installed, which a false clock needs")
    folder = tmp_path_factory.mktemp("clock")
    source, made = folder / "clock.c", folder / "clock.so"
    source.write_text(CLOCK_C, encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    return made


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def fleet(tmp_path: Path, clock: Clock, library: Path) -> Iterator[FaultFleet]:
    settings = {
        "VOXFLEET_INSTANCES": "2",
        "LD_PRELOAD": str(library),
        "CLOCK_JUMP_FILE": str(clock.path),
    }
    with fault_fleet(tmp_path, settings) as running:
        yield running


def test_a_jump_of_the_clock_is_nobodys_fault(fleet: FaultFleet, clock: Clock) -> None:
    ledger = fleet.ledger()
    with crowd(ledger):
        for ahead_s in (HOUR_S, -HOUR_S, 0):
            clock.set(ahead_s)
            until_answers(ledger, 30)
            assert fleet.restarts() == 0
            assert fleet.health()["status"] == "ok"
    ledger.check(fleet.log_path)
    assert ledger.verdicts() == {RIGHT: ledger.answered}


def test_a_worker_is_replaced_while_the_clock_is_wrong(fleet: FaultFleet, clock: Clock) -> None:
    ledger = fleet.ledger()
    clock.set(-HOUR_S)
    rows = fleet.rows()
    fleet.strike(rows[0].id, signal.SIGKILL)
    fleet.strike(rows[1].id, signal.SIGSTOP)
    for row in rows:
        fleet.until_ready(row.id, 1)
        since_s = fleet.row(row.id).since
        # the jump has reached the server
        assert since_s
        assert abs(time.time() - HOUR_S - since_s) < HOUR_S / 2
    with crowd(ledger):
        until_answers(ledger, 10)
    ledger.check(fleet.log_path)
