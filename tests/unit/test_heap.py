"""Memory that was freed: what is used again costs no new pages."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

#: blocks as an upload has them, freed each time, and the pages that the system had to give for them
_CHURN = """
import resource
from voxfleet.observe.heap import keep_freed_memory
kept = {kept} and keep_freed_memory()
def churn():
    blocks = [bytes(200_000) for _ in range(20)]
churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(*, kept: bool) -> int:
    command = [sys.executable, "-c", _CHURN.format(kept=kept)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how the GNU library behaves")
def test_freed_memory_is_used_again() -> None:
    whole = 10 * 20 * 200_000 // resource.getpagesize()
    assert new_pages(kept=False) > whole // 2
    assert new_pages(kept=True) < whole // 20


#: how often all objects are looked at for cycles while a long answer is made
_LONG_ANSWER = """
import gc, time
from voxfleet.observe.heap import collect_rarely
if {rarely}:
    collect_rarely()
looks = []
gc.callbacks.append(lambda phase, info: looks.append((phase, info["generation"])))
answer = [{{"token": str(number), "bytes": [1, 2, 3]}} for number in range(100_000)]
print(looks.count(("start", 2)) + looks.count(("start", 1)))
"""


def looks(*, rarely: bool) -> int:
    command = [sys.executable, "-c", _LONG_ANSWER.format(rarely=rarely)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_long_answer_is_not_looked_through_again_and_again() -> None:
    assert looks(rarely=True) < looks(rarely=False) / 4
