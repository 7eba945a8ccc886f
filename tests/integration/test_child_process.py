"""Child processes for real: their environment, their output, how they end and whom they follow."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.media_rig import LIMIT_S, until
from voxfleet.wire.child_process import ChildProcess, describe_exit, one_numeric_thread


async def started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, env: dict[str, str] | None = None
) -> ChildProcess:
    """A child that runs this code, its output in `log`."""
    (tmp_path / "child_under_test.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return await ChildProcess.start(
        "child_under_test", ("one", "two"), env=env, log_path=tmp_path / "log"
    )


async def test_a_child_has_its_arguments_environment_session_and_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").write_text("before\n")
    code = (
        "import os, sys\n"
        "print(sys.argv[1:], os.environ['OMP_NUM_THREADS'], os.getsid(0) == os.getpid())\n"
        "print('to stderr', file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    child = await started(tmp_path, monkeypatch, code, one_numeric_thread())
    assert await child.wait(LIMIT_S) == 3
    assert child.exit_status == 3
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "before"
    assert sorted(lines[1:]) == ["['one', 'two'] 1 True", "to stderr"]


async def test_waiting_has_a_limit_and_asking_nicely_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = await started(tmp_path, monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(TimeoutError):
        await child.wait(0.05)
    assert child.exit_status is None
    assert await child.terminate(LIMIT_S) == -signal.SIGTERM


async def test_a_child_that_will_not_leave_is_ended_with_its_own_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    child = await started(tmp_path, monkeypatch, code)
    await until(lambda: "ready" in (tmp_path / "log").read_text())
    grandchildren = psutil.Process(child.pid).children()
    assert len(grandchildren) == 1
    assert await child.terminate(0.1) == -signal.SIGKILL
    await until(lambda: not any(process.is_running() for process in grandchildren))
    assert await child.terminate(0.1) == -signal.SIGKILL


PARENT = """
import asyncio, sys
from voxfleet.wire.child_process import ChildProcess

async def main():
    child = await ChildProcess.start("child_under_test")
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


async def test_a_child_dies_with_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child_under_test.py").write_text(
        "import time\n"
        "from voxfleet.wire.child_process import die_with_parent\n"
        "die_with_parent()\n"
        "print('armed', flush=True)\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert parent.stderr is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), LIMIT_S))
    # the child has no log of its own, so it speaks where its parent does
    assert await asyncio.wait_for(parent.stderr.readline(), LIMIT_S) == b"armed\n"
    child = psutil.Process(pid)
    parent.kill()
    await asyncio.wait_for(parent.wait(), LIMIT_S)
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_a_child_whose_parent_is_gone_already_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from voxfleet.wire.child_process import die_with_parent\n"
        f"die_with_parent({os.getppid()})\n"
        "print('alive', flush=True)\n"
    )
    child = await started(tmp_path, monkeypatch, code)
    assert await child.wait(LIMIT_S) == 1
    assert "alive" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with status 0"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_an_end_is_described_in_words(status: int, words: str) -> None:
    assert describe_exit(status) == words
