"""A real server with a fleet of workers that is hurt, looked at, and must be whole again.

Knows processes, files and what `/v1/instances` tells; knows no question and no text.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import psutil

from tests.faults.answer_ledger import Ledger
from tests.integration.server_process import COMMAND

#: for a server on a busy machine to start, to be whole again, or to end
LIMIT_S = 60.0
#: a worker that died several times in a row is told of for a minute, if it is given no batch
TOLD_OF_S = 60.0
LOOK_S = 0.01
DEADLINE_S = 60.0
WORKER_MODULE, MEDIA_MODULE = "voxfleet.worker", "voxfleet.media.media_process"
#: there is one once somebody has spoken
LIVE_MODULE = "voxfleet.media.live_process"
FAULT_SETTINGS = {
    "VOXFLEET_AUDIO__VAD": "off",
    "VOXFLEET_MEDIA__PROCESSES": "2",
    "VOXFLEET_FAKE__FIXED_S": "0.3",
    "VOXFLEET_WORKER__MIN_BATCH_TIMEOUT_S": "2.5",
    "VOXFLEET_SERVER__REQUEST_TIMEOUT_S": f"{DEADLINE_S:g}",
}


class Row(msgspec.Struct, frozen=True):
    """Of one worker, what these tests look at."""

    id: str
    pool: str
    device: str
    pid: int | None
    state: str
    restarts: int
    last_error: str | None
    in_flight: int
    batches: int
    out_of_memory: int
    since: float | None


class _Rows(msgspec.Struct):
    data: list[Row]


def until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {limit_s:g} s: {what}"
        time.sleep(LOOK_S)


def until_answers(ledger: Ledger, more: int) -> None:
    wanted = ledger.answered + more
    until(lambda: ledger.answered >= wanted, f"{more} more answers")


def let_pass(seconds: float) -> None:
    """For what cannot be seen from outside."""
    time.sleep(seconds)


def hit(process: psutil.Process, number: signal.Signals = signal.SIGKILL) -> bool:
    """False for one that is dead already."""
    try:
        living = process.status() != psutil.STATUS_ZOMBIE
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return living


@dataclass
class FaultFleet:
    process: subprocess.Popen[bytes]
    data_dir: Path
    log_path: Path
    client: httpx.Client
    media_processes: int
    seen: dict[int, psutil.Process] = field(default_factory=dict)

    def ledger(self, deadline_s: float = DEADLINE_S) -> Ledger:
        return Ledger(str(self.client.base_url), deadline_s)

    # -- looking --------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        body = self.client.get("/v1/instances").content
        return msgspec.json.decode(body, type=_Rows).data

    def row(self, worker_id: str) -> Row:
        return next(row for row in self.rows() if row.id == worker_id)

    def restarts(self) -> int:
        return sum(row.restarts for row in self.rows())

    def health(self) -> dict[str, object]:
        health: dict[str, object] = self.client.get("/health").json()
        return health

    def queued(self, what: str) -> int:
        """`requests` in work and waiting, or segments that are `waiting`."""
        queue = self.health()["queue"]
        assert isinstance(queue, dict)
        return int(queue[what])

    def children(self, module: str = "") -> list[psutil.Process]:
        """All that the server has started, or those that run `module`."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        self.seen.update((child.pid, child) for child in found)
        return [child for child in found if not module or module in _command(child)]

    def files(self) -> list[Path]:
        """What requests keep on the disk."""
        return [
            path
            for scratch in ("spool", "spool/live", "uploads")
            for path in (self.data_dir / scratch).glob("*")
            if path.suffix != ".turn" and path.name != "live"
        ]

    def said(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    # -- hurting --------------------------------------------------------------------------------

    def strike(self, worker_id: str, number: signal.Signals) -> None:
        pid = self.row(worker_id).pid
        assert pid is not None
        os.kill(pid, number)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The gateway stands still; what reaches it meanwhile is found afterwards."""
        self.children()
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    # -- whole again ----------------------------------------------------------------------------

    def until_ready(self, worker_id: str, restarts: int) -> None:
        """The worker has been restarted so often, and serves."""

        def reached() -> bool:
            row = self.row(worker_id)
            return row.restarts >= restarts and row.state == "ready"

        until(reached, f"{worker_id} restarted {restarts} times and ready")

    def check_whole(self) -> None:
        """Everything is as it was at the start; to be asked when no request is in work."""
        limit_s = LIMIT_S + TOLD_OF_S
        until(self.all_serve, "every worker ready and the server healthy", limit_s)
        until(self._at_rest, "nothing in work")
        until(lambda: self.files() == [], "no file of a request is left")
        assert self.process.poll() is None
        self._check_processes()
        sockets = {path.name for path in (self.data_dir / "run").iterdir()}
        assert sockets - {"live"} == {"media", "workers-0"}
        assert shared_memory() == []

    def all_serve(self) -> bool:
        """Everybody is there again, and the server says that it is well."""
        media = len(self.children(MEDIA_MODULE)) == self.media_processes
        ready = all(row.state == "ready" for row in self.rows())
        return ready and media and self.health()["status"] == "ok"

    def _at_rest(self) -> bool:
        nobody = self.queued("requests") == self.queued("waiting") == 0
        return nobody and not any(row.in_flight for row in self.rows())

    def _check_processes(self) -> None:
        """Those of the rows, those that decode, one that hears at most, and nobody else."""
        rows = {row.pid for row in self.rows()}
        media = {child.pid for child in self.children(MEDIA_MODULE)}
        live = {child.pid for child in self.children(LIVE_MODULE)}
        assert len(live) <= 1
        assert {child.pid for child in self.children()} == rows | media | live
        assert not rows & media
        states = {child.status() for child in self.children()}
        assert not states & {psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED}

    def stop(self) -> None:
        """An orderly end leaves no process and no file."""
        self.children()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LIMIT_S) == 0
        assert psutil.wait_procs(self.seen.values(), timeout=10)[1] == []
        left = sorted(path.name for path in self.data_dir.iterdir())
        assert left == ["lock", "logs", "voxfleet.db"]
        assert shared_memory() == []


def shared_memory() -> list[str]:
    folder = Path("/dev/shm")  # noqa: S108 - looked at, nothing is made there
    return [path.name for path in folder.glob("voxfleet*")] if folder.is_dir() else []


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


@contextmanager
def fault_fleet(
    folder: Path,
    settings: Mapping[str, str] = FAULT_SETTINGS,
    *,
    pools: str = "",
    data_dir: Path | None = None,
) -> Iterator[FaultFleet]:
    """Serving until the end, then stopped, if the test has not done so; nothing is left of it.

    `settings` are beside FAULT_SETTINGS; `pools` is a settings file with the pools, if any.
    """
    env = {**os.environ, **FAULT_SETTINGS, **settings}
    home = data_dir or folder / "data"
    command = [*COMMAND, "--data-dir", str(home)]
    if pools:
        (folder / "pools.toml").write_text(pools, encoding="utf-8")
        command += ["--config", str(folder / "pools.toml")]
    else:
        env = {"VOXFLEET_MODEL": "fake", **env}
    log_path, banner_path = folder / "server.log", folder / "banner"
    with log_path.open("wb") as log, banner_path.open("wb") as banner:
        process = subprocess.Popen(command, env=env, stdout=banner, stderr=log)
    try:
        address = _address(process, banner_path, log_path)
        media = int(env["VOXFLEET_MEDIA__PROCESSES"])
        with httpx.Client(base_url=address, timeout=30) as client:
            fleet = FaultFleet(process, home, log_path, client, media)
            until(fleet.all_serve, "the fleet serves")
            yield fleet
            if process.poll() is None:
                fleet.check_whole()
                fleet.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], banner_path: Path, log_path: Path) -> str:
    def announced() -> bool:
        assert process.poll() is None, log_path.read_text(encoding="utf-8")
        return "try " in banner_path.read_text(encoding="utf-8")

    until(announced, "the banner")
    lines = banner_path.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("address")).split()[1]
