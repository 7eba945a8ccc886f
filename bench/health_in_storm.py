"""Measures what GET /health takes while a crowd uploads, is refused, and asks again at once.

wrk sends recordings of five seconds from many connections; meanwhile one client asks on a
connection it keeps and another on a new one each time. With --src another tree's server is
measured in turn. Knows nothing of the gateway's inside.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from bench.bench_server import started_server
from bench.gateway_cost import BOUNDARY, form_of, wav

SERVER = {
    "VOXFLEET_FAKE__SPEED": "1000000",
    "VOXFLEET_AUDIO__VAD": "silero",
    "VOXFLEET_LOG__LEVEL": "error",
}
#: five seconds of sound
UPLOAD_BYTES = 160_044
#: the crowd is let in first
HEAD_START_S = 2.0
PAUSE_S = 0.03


def main() -> int:
    options = read_options()
    trees = [("now", "")]
    if options.src is not None:
        trees.insert(0, ("before", str(options.src.resolve())))
    for _ in range(options.rounds):
        for name, src in trees:
            settings = {**SERVER, **({"PYTHONPATH": src} if src else {})}
            with started_server(settings) as (address, _server):
                measure(name, address, options.connections, options.seconds)
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--src", type=Path, help="the src folder of a tree to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--connections", type=int, default=200)
    return parser.parse_args()


def measure(name: str, address: str, connections: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="vox-storm-") as folder:
        storm = begin_storm(address, connections, HEAD_START_S + seconds + 1, Path(folder))
        time.sleep(HEAD_START_S)
        kept_ms, new_ms = probe(address, seconds)
        told = storm.communicate()[0]
    rate = next(line for line in told.splitlines() if line.startswith("Requests/sec"))
    print(f"{name:<8}{_shown('kept', kept_ms)}  {_shown('new', new_ms)}  {' '.join(rate.split())}")


def begin_storm(
    address: str, connections: int, seconds: float, folder: Path
) -> subprocess.Popen[str]:
    (folder / "form").write_bytes(form_of(wav(UPLOAD_BYTES)))
    (folder / "storm.lua").write_text(
        'wrk.method = "POST"\n'
        f'wrk.headers["Content-Type"] = "multipart/form-data; boundary={BOUNDARY}"\n'
        f'wrk.body = io.open("{folder}/form", "rb"):read("*a")\n'
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "60s"]
    command += ["-s", str(folder / "storm.lua"), f"{address}/v1/audio/transcriptions"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def probe(address: str, seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds of each answer, on a connection that is kept and on new ones."""
    place = urlsplit(address).netloc
    kept_ms: list[float] = []
    new_ms: list[float] = []
    kept = http.client.HTTPConnection(place)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        kept_ms.append(_ask_ms(kept))
        time.sleep(PAUSE_S)
        with closing(http.client.HTTPConnection(place)) as new:
            new_ms.append(_ask_ms(new))
        time.sleep(PAUSE_S)
    return kept_ms, new_ms


def _ask_ms(connection: http.client.HTTPConnection) -> float:
    begun_s = time.perf_counter()
    connection.request("GET", "/health")
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"/health answered {answer.status}")
    return 1000 * (time.perf_counter() - begun_s)


def _shown(name: str, taken_ms: list[float]) -> str:
    p99 = statistics.quantiles(taken_ms, n=100, method="inclusive")[-1]
    return f"{name}: p50 {statistics.median(taken_ms):6.1f}, p99 {p99:6.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
