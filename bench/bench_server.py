"""A server in a process of its own, for a bench. Knows nothing of what is measured."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_STOP_LIMIT_S = 60


@contextmanager
def started_server(
    settings: Mapping[str, str], flags: Sequence[str] = ("--model", "fake")
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server that is ready, with its address; its log lines go to a file, as under systemd."""
    with (
        tempfile.TemporaryDirectory(prefix="vox-") as folder,
        (Path(folder) / "log").open("w") as log,
    ):
        server = subprocess.Popen(
            [sys.executable, "-m", "voxfleet.cli", "serve", "--port", "0", *flags],
            env={**os.environ, "VOXFLEET_DATA_DIR": f"{folder}/data", **settings},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield _wait_for_address(server), server
        finally:
            server.terminate()
            server.wait(timeout=_STOP_LIMIT_S)


def _wait_for_address(server: subprocess.Popen[str]) -> str:
    address = ""
    for line in server.stdout or ():
        if line.startswith("address"):
            address = line.split()[1]
        if line.startswith("try"):
            return address
    raise SystemExit("the server ended before it was ready")
