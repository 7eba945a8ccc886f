"""Signals that stop a server, whichever they are and however many: it ends in order and cleans."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.server_process import COMMAND, STOP_LIMIT_S, ServerProcess, serving
from tests.system.test_serve import FAKE, ask, sound

SCRATCH = ("run", "spool", "uploads")


@contextmanager
def hangup(handler: signal.Handlers) -> Iterator[None]:
    """What a child finds set for SIGHUP: ignored under nohup, and under some test runners."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def left_scratch(server: ServerProcess) -> list[str]:
    return [name for name in SCRATCH if (server.data_dir / name).exists()]


def test_a_closed_terminal_is_an_orderly_stop(tmp_path: Path) -> None:
    # a session of its own, whose terminal is a pseudo-terminal that is then closed
    controller, terminal = pty.openpty()
    environment = os.environ | FAKE | {"VOXFLEET_DATA_DIR": str(tmp_path / "d")}
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_SESSION, os.ttyname(terminal), *COMMAND],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(terminal)
    assert process.stdout is not None
    assert any(line.startswith("try") for line in iter(process.stdout.readline, ""))
    os.close(controller)
    assert process.wait(STOP_LIMIT_S) == 0
    process.stdout.close()
    assert not any((tmp_path / "d" / name).exists() for name in SCRATCH)


OWN_SESSION = """
import os, sys
os.setsid()
os.open(sys.argv[1], os.O_RDWR)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_hangup_without_a_terminal_is_no_stop(tmp_path: Path, handler: signal.Handlers) -> None:
    with hangup(handler), serving(tmp_path / "d", **FAKE) as server:
        server.process.send_signal(signal.SIGHUP)
        with server.client() as client:
            assert ask(client, sound(1.0)).status_code == 200
        assert server.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_more_stop_signals_do_not_cut_the_stop_short(tmp_path: Path, number: int) -> None:
    # the hung worker makes the end take seconds, in which the signals arrive
    hung = FAKE | {"VOXFLEET_FAKE__FAULT": "hang", "VOXFLEET_SERVER__SHUTDOWN_GRACE_S": "0"}
    with serving(tmp_path / "d", **hung) as server:
        asking = threading.Thread(target=_ask_in_vain, args=(server,))
        asking.start()
        _wait_until_busy(server)
        server.process.send_signal(number)
        asking.join(STOP_LIMIT_S)
        for _ in range(2):
            server.process.send_signal(number)
        assert server.process.wait(STOP_LIMIT_S) == 0
        assert left_scratch(server) == []


def _ask_in_vain(server: ServerProcess) -> None:
    with server.client() as client:
        try:
            assert ask(client, sound(1.0)).status_code == 503
        except httpx.TransportError:
            return  # a grace of 0 s also allows this end


def _wait_until_busy(server: ServerProcess) -> None:
    with server.client() as client:
        seen = (client.get("/health").json()["queue"]["requests"] for _ in range(1000))
        assert any(seen), "the request never arrived"
