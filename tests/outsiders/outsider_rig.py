"""Servers for strangers to try: real ones, on the `fake` engine unless told otherwise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
#: an engine that answers at once, so that what is tried is the surface
FAST = {"VOXFLEET_FAKE__SPEED": "1000000"}
#: so small a card that an order for many workers does not fit: 256 real processes would only
#: show that this machine is small
SMALL_CARD = {
    "VOXFLEET_DEVICE": "cuda:0",
    "VOXFLEET_FLEET__SIMULATED_GPUS": "0.2",
    "VOXFLEET_FLEET__RESERVE_MB": "0",
    "VOXFLEET_FAKE__MEMORY_MB": "60",
}
_VOXFLEET = (sys.executable, "-m", "voxfleet.cli")
_KEY = re.compile(r"\bvf-[A-Za-z0-9_-]{43}")
_START_LIMIT_S = 30
_STOP_LIMIT_S = 30
#: what the log has for a fault that nobody foresaw
_FAULT_LINE = re.compile(r"^.*(?:unforeseen fault|Traceback|the pool failed).*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class StrangersServer:
    """A running `voxfleet serve`; its log is a file, as strangers make it say much."""

    process: psutil.Popen
    address: str
    data_dir: Path
    log: Path

    @property
    def host(self) -> str:
        return str(urlsplit(self.address).hostname)

    @property
    def port(self) -> int:
        return int(urlsplit(self.address).port or 0)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=60)

    def left_over(self) -> list[Path]:
        """Files of requests that should have ended."""
        return [
            path
            for scratch in ("spool", "uploads")
            for path in (self.data_dir / scratch).rglob("*")
            # the file a media process notes its turn in belongs to no request
            if path.is_file() and path.suffix != ".turn"
        ]

    def faults(self) -> list[str]:
        """Lines of the log that tell of what nobody foresaw."""
        return _FAULT_LINE.findall(self.log.read_text(encoding="utf-8"))

    def wait_until_idle(self, limit_s: float = 30) -> None:
        """Until no request is left; raises when it takes too long."""
        deadline_s = time.monotonic() + limit_s
        with self.client() as client:
            while client.get("/health").json()["queue"]["requests"]:
                assert time.monotonic() < deadline_s, "requests have not ended"
                time.sleep(0.05)


@contextmanager
def strangers_server(
    folder: Path, settings: Mapping[str, str] | None = None, *flags: str
) -> Iterator[StrangersServer]:
    """A server that is ready; `folder` gets its data and its log."""
    data_dir, log = folder / "data", folder / "log"
    command = [*_VOXFLEET, "serve", "--port", "0", "--data-dir", str(data_dir), *flags]
    with log.open("w") as errors:
        process = psutil.Popen(
            command,
            env={**os.environ, "VOXFLEET_MODEL": "fake", **FAST, **(settings or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield StrangersServer(process, _wait_for_address(process, log), data_dir, log)
        finally:
            _end(process)


def _wait_for_address(process: psutil.Popen, log: Path) -> str:
    address = ""
    for line in process.stdout:
        if line.startswith("address"):
            address = line.split()[1]
        if line.startswith("try"):
            return address
    raise AssertionError(f"the server ended before it was ready: {log.read_text()}")


def _end(process: psutil.Popen) -> None:
    process.terminate()
    try:
        process.wait(_STOP_LIMIT_S)
    except psutil.TimeoutExpired:
        process.kill()
        raise
    finally:
        process.stdout.close()


def new_key(folder: Path, name: str, *flags: str) -> str:
    """A key made as an operator makes it, for the server of `folder`, running or not."""
    done = subprocess.run(
        [*_VOXFLEET, "keys", "add", name, *flags, "--data-dir", str(folder / "data")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shown = _KEY.search(done.stdout)
    assert shown, f"`voxfleet keys add` showed no key: {done.stdout}{done.stderr}"
    return shown[0]
