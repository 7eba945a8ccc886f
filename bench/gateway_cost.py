"""Measures what one request costs the gateway: processor time of that process alone.

Starts `voxfleet serve` with the `fake` engine, uploads the same recording over kept-alive
connections, and reads the process's own times before and after each round: decoding and computing
happen in other processes and do not count. Knows nothing of the gateway's inside.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit

import psutil

from bench.bench_server import started_server

BOUNDARY = "gateway-cost-6b1f0c3a"
SAMPLE_RATE_HZ = 16_000
#: as curl and OpenAI's client send a file
SEND_BYTES = 65_536
#: requests before anything is measured: imports, caches, first connections
WARM_UP_REQUESTS = 20
#: an engine that answers at once, and no speech detection: what is left is the gateway's work, and
#: how many segments a recording has is known (one for each 30 s)
SERVER_ENVIRONMENT = {"VOXFLEET_FAKE__SPEED": "100000", "VOXFLEET_AUDIO__VAD": "off"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of the gateway for one request, in ms."""

    user_ms: float
    system_ms: float

    @property
    def total_ms(self) -> float:
        return self.user_ms + self.system_ms


def main() -> int:
    options = read_options()
    flags = ["--model", "fake", *options.flags]
    with started_server(SERVER_ENVIRONMENT, flags) as (address, server):
        gateway = psutil.Process(server.pid)
        if options.announce:
            print(f"gateway           pid {server.pid} at {address}", flush=True)
        uploader = Uploader(address, form_of(wav(options.upload_bytes)))
        uploader.send(WARM_UP_REQUESTS, options.clients)
        costs = [
            measure(gateway, uploader, options.requests, options.clients)
            for _ in range(options.rounds)
        ]
    report(costs, options.limit_ms)
    return 1 if options.limit_ms and median_ms(costs) > options.limit_ms else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upload-bytes", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests", type=int, default=200, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit-ms", type=float, default=0.0, help="exit with 1 above it")
    parser.add_argument("--announce", action="store_true", help="say the gateway's process id")
    parser.add_argument("flags", nargs="*", help="flags of `voxfleet serve`, after --")
    return parser.parse_args()


def wav(size_bytes: int) -> bytes:
    """A recording of about that many bytes: 16 kHz mono, so 31 s are 1 MB."""
    samples = (size_bytes - 44) // 2
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        # random, as sound is: a parser that looks for line breaks must find some
        writer.writeframes(os.urandom(2 * samples))
    return file.getvalue()


def form_of(recording: bytes) -> bytes:
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\nfake\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="talk.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    return head.encode() + recording + f"\r\n--{BOUNDARY}--\r\n".encode()


class Uploader:
    """Sends the same form again and again; a thread keeps its connection."""

    def __init__(self, address: str, form: bytes) -> None:
        self._host = urlsplit(address).netloc
        self._form = form
        self._own = threading.local()

    def send(self, requests: int, clients: int) -> None:
        with ThreadPoolExecutor(clients) as threads:
            for _ in threads.map(self._ask, range(requests)):
                pass

    def _ask(self, _: int) -> None:
        connection = self._connection()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(len(self._form)),
        }
        body = io.BytesIO(self._form)
        connection.request("POST", "/v1/audio/transcriptions", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200 or not json.loads(text)["text"]:
            raise SystemExit(f"the server answered {answer.status}: {text[:200]!r}")

    def _connection(self) -> HTTPConnection:
        connection: HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = HTTPConnection(self._host, timeout=60, blocksize=SEND_BYTES)
            self._own.connection = connection
        return connection


def measure(gateway: psutil.Process, uploader: Uploader, requests: int, clients: int) -> Cost:
    before = gateway.cpu_times()
    uploader.send(requests, clients)
    after = gateway.cpu_times()
    return Cost(
        1000 * (after.user - before.user) / requests,
        1000 * (after.system - before.system) / requests,
    )


def median_ms(costs: list[Cost]) -> float:
    return statistics.median(cost.total_ms for cost in costs)


def report(costs: list[Cost], limit_ms: float) -> None:
    rounds = " ".join(f"{cost.total_ms:.2f}" for cost in costs)
    print(f"gateway           {median_ms(costs):6.2f} ms of processor time a request (median)")
    print(f"  user            {statistics.median(cost.user_ms for cost in costs):6.2f} ms")
    print(f"  system          {statistics.median(cost.system_ms for cost in costs):6.2f} ms")
    print(f"rounds            {rounds} ms")
    if limit_ms:
        print(f"limit             {limit_ms:6.2f} ms")


if __name__ == "__main__":
    sys.exit(main())
