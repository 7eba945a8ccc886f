"""A real `voxfleet serve` in a process of its own, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

COMMAND = [sys.executable, "-m", "voxfleet.cli", "serve", "--port", "0"]
START_LIMIT_S = 30
STOP_LIMIT_S = 20


@dataclass
class ServerProcess:
    process: subprocess.Popen[str]
    banner: list[str]
    data_dir: Path

    @property
    def address(self) -> str:
        return next(line for line in self.banner if line.startswith("address")).split()[1]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=60)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def left_over(self) -> list[Path]:
        """Files of requests that should have ended."""
        return [
            path
            for scratch in ("spool", "uploads")
            for path in (self.data_dir / scratch).rglob("*")
            # the file a media process notes its turn in belongs to no request
            if path.is_file() and path.suffix != ".turn"
        ]

    def stop(self) -> str:
        """Ask it to end as an init system would; what it said on stderr."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=STOP_LIMIT_S)[1]


@contextmanager
def serving(data_dir: Path, *flags: str, **settings: str) -> Iterator[ServerProcess]:
    process = subprocess.Popen(
        [*COMMAND, "--data-dir", str(data_dir), *flags],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield ServerProcess(process, _banner(process), data_dir)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _banner(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("try"):
            return lines
    raise AssertionError(f"the server ended before it was ready: {process.communicate()[1]}")
