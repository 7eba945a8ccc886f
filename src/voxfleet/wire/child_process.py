"""Operating-system processes that belong to the gateway: started, watched, ended as a group.

Knows nothing of what a child does or says. A child lives in a session of its own, so that Ctrl-C in
the terminal reaches only the gateway, and it dies with the gateway however that ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PARENT_PID_VARIABLE = "_VOXFLEET_PARENT_PID"
#: how long the kernel may take to end a process that was sent SIGKILL
_KILL_LIMIT_S = 10.0


def die_with_parent(parent_pid: int | None = None) -> None:
    """Called first by every child: the kernel kills it when the thread that started it ends.

    `parent_pid` is by default the one `ChildProcess.start` left in the environment; a process that
    was started by hand has none and is left alone. Outside Linux there is no such request.
    """
    expected = parent_pid or int(os.environ.get(_PARENT_PID_VARIABLE, "0"))
    if expected == 0 or sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # the parent may have died before the request was made
    if os.getppid() != expected:
        raise SystemExit(1)


def one_numeric_thread() -> dict[str, str]:
    """The environment that keeps the thread pools of numeric libraries to one core."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return dict.fromkeys(names, "1")


def describe_exit(status: int) -> str:
    """How a process ended, in words: `killed by SIGSEGV`, `ended with status 3`."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


class ChildProcess:
    """One running child. Start it from a thread that lives as long as the child shall."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._swept = False

    @classmethod
    async def start(
        cls,
        module: str,
        arguments: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        cores: Sequence[int] = (),
    ) -> ChildProcess:
        """Run `python -m module arguments…`; its output goes to `log_path`, else to our stderr.

        `env` is added to our own environment and so holds before the child's first import; so do
        `cores`, the only ones it may run on where any are named.
        """
        environment = {**os.environ, **(env or {}), _PARENT_PID_VARIABLE: str(os.getpid())}
        with ExitStack() as stack:
            output: int = sys.__stderr__.fileno() if sys.__stderr__ else asyncio.subprocess.DEVNULL
            if log_path is not None:
                output = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                stack.callback(os.close, output)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # never import from the folder we happen to stand in
                "-m",
                module,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        _pin(process.pid, cores)
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative is the number of the signal that killed it."""
        return self._process.returncode

    async def wait(self, limit_s: float | None = None) -> int:
        """The exit status, once it has ended; raises TimeoutError after `limit_s`."""
        status = await asyncio.wait_for(self._process.wait(), limit_s)
        if not self._swept:
            # what the child itself started must not outlive it; later the number may be another's
            self._swept = True
            self._signal_group(signal.SIGKILL)
        return status

    def kill(self) -> None:
        """End the whole group now; `wait` tells when it has happened."""
        if self.exit_status is None:
            self._signal_group(signal.SIGKILL)

    async def terminate(self, grace_s: float) -> int:
        """Ask the group to end, and end it by force after `grace_s`."""
        if self.exit_status is None:
            self._signal_group(signal.SIGTERM)
        try:
            return await self.wait(grace_s)
        except TimeoutError:
            self.kill()
            return await self.wait(_KILL_LIMIT_S)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return


def _pin(pid: int, cores: Sequence[int]) -> None:
    """Before the interpreter has come to any import: threads made later inherit it."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        return
    try:
        os.sched_setaffinity(pid, cores)
    except ProcessLookupError:
        # gone already: whoever waits for it hears how
        return
