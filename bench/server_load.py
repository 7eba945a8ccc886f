"""Measures a running fleet from outside: speed, the latency of /health meanwhile, memory of all.

Starts `voxfleet serve` on a free port with the flags given after `--`, sends the same recording
from several clients at once, and asks /health ten times a second. Knows nothing of its inside.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil

import voxfleet
from bench.bench_server import started_server

DEFAULT_CLIP = Path(voxfleet.__file__).with_name("samples") / "hello.wav"
PROBE_INTERVAL_S = 0.1


class Watcher(threading.Thread):
    """Asks /health and adds up the memory of the process tree until `done` is set."""

    def __init__(self, address: str, server: psutil.Process) -> None:
        super().__init__()
        self.done = threading.Event()
        self.waits_s: list[float] = []
        self.peak_mb = 0.0
        self._address = address
        self._server = server

    def run(self) -> None:
        with httpx.Client(base_url=self._address) as client:
            while not self.done.wait(PROBE_INTERVAL_S):
                begun_s = time.perf_counter()
                client.get("/health").raise_for_status()
                self.waits_s.append(time.perf_counter() - begun_s)
                tree = [self._server, *self._server.children(recursive=True)]
                self.peak_mb = max(self.peak_mb, sum(p.memory_info().rss for p in tree) / 1e6)


def main() -> int:
    options = read_options()
    begun_s = time.perf_counter()
    with started_server({}, options.flags) as (address, server):
        print(f"ready after       {time.perf_counter() - begun_s:6.2f} s")
        measure(address, psutil.Process(server.pid), options)
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recording", type=Path, default=DEFAULT_CLIP)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("flags", nargs="*", help="flags of `voxfleet serve`, after --")
    return parser.parse_args()


def measure(address: str, server: psutil.Process, options: argparse.Namespace) -> None:
    body = options.recording.read_bytes()

    def ask(_: int) -> float:
        answer = httpx.post(
            f"{address}/v1/audio/transcriptions",
            files={"file": (options.recording.name, body)},
            data={"response_format": "verbose_json"},
            timeout=600,
        )
        answer.raise_for_status()
        return float(answer.json()["duration"])

    watcher = Watcher(address, server)
    watcher.start()
    begun_s = time.perf_counter()
    with ThreadPoolExecutor(options.clients) as clients:
        heard_s = sum(clients.map(ask, range(options.requests)))
    took_s = time.perf_counter() - begun_s
    watcher.done.set()
    watcher.join()
    report(heard_s, took_s, watcher)


def report(heard_s: float, took_s: float, watcher: Watcher) -> None:
    waits_ms = sorted(1000 * wait for wait in watcher.waits_s)
    p99 = waits_ms[min(len(waits_ms) - 1, round(0.99 * len(waits_ms)))]
    print(f"speed             {heard_s / took_s:6.1f} x real time over HTTP")
    print(f"/health p50       {statistics.median(waits_ms):6.1f} ms")
    print(f"/health p99       {p99:6.1f} ms")
    print(f"/health max       {waits_ms[-1]:6.1f} ms of {len(waits_ms)}")
    print(f"peak memory       {watcher.peak_mb:6.0f} MB, all processes")


if __name__ == "__main__":
    sys.exit(main())
