"""A real server whose settings lie in a file that can change, and a crowd that asks meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.integration.server_process import ServerProcess, serving
from tests.system.test_serve import ask, sound

LIMIT_S = 30.0


@dataclass
class OperatedServer:
    server: ServerProcess
    file: Path
    client: httpx.Client

    def rows(self, pool: str | None = None) -> list[dict[str, object]]:
        data = self.client.get("/v1/instances").json()["data"]
        rows: list[dict[str, object]] = [row for row in data if pool in (None, row["pool"])]
        return rows

    def pools(self) -> dict[str, dict[str, object]]:
        return {row["pool"]: row for row in self.client.get("/v1/instances").json()["pools"]}

    def states(self, pool: str | None = None) -> list[object]:
        return [row["state"] for row in self.rows(pool)]

    def order(self, path: str, **body: object) -> httpx.Response:
        return self.client.post(path, json=body)

    def settings(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")


@contextmanager
def operated(folder: Path, text: str, **settings: str) -> Iterator[OperatedServer]:
    file = folder / "voxfleet.toml"
    file.write_text(text, encoding="utf-8")
    # nobody reads what it says on stderr: a line for each request would fill the pipe, and the
    # server would wait in the middle of a line for ever
    quiet = {"VOXFLEET_AUDIO__VAD": "off", "VOXFLEET_LOG__LEVEL": "warning"}
    environment = quiet | settings
    with (
        serving(folder / "data", "--config", str(file), **environment) as server,
        server.client() as client,
    ):
        yield OperatedServer(server, file, client)


def eventually(true: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    end_s = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.05)


@dataclass
class Crowd:
    """Clients that ask again and again; `answers` are status and text of each."""

    address: str
    model: str
    answers: list[tuple[int, str]] = field(default_factory=list)

    def ask_until(self, done: threading.Event) -> None:
        with httpx.Client(base_url=self.address, timeout=60) as client:
            while not done.is_set():
                response = ask(client, sound(2), model=self.model)
                text = response.json().get("text", "") if response.status_code == 200 else ""
                self.answers.append((response.status_code, text))


@contextmanager
def crowd(server: OperatedServer, model: str = "fake", clients: int = 3) -> Iterator[Crowd]:
    """Asks while the block runs; at the end every answer there was must be the same right text."""
    expected = ask(server.client, sound(2), model=model).json()["text"]
    asking = Crowd(server.server.address, model)
    done = threading.Event()
    threads = [threading.Thread(target=asking.ask_until, args=(done,)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield asking
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert asking.answers
    assert set(asking.answers) == {(200, expected)}
