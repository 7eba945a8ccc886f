"""A PostgreSQL of the tests' own, with as many empty databases as they want.

Knows Debian's package and processes; knows no table.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

_PACKAGES = Path("/usr/lib/postgresql")
_USER = "postgres"
#: never asked for, and so never shown
PASSWORD = "not-to-be-told"  # noqa: S105 - no secret
_LIMIT_S = 60


@dataclass(frozen=True)
class OwnPostgres:
    programs: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://{_USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """The URL of an empty one."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url_of(name)

    def make(self) -> None:
        self._run("initdb", "--auth=trust", f"--username={_USER}", "--pgdata", self._data)

    def start(self) -> None:
        log, options = str(self.folder / "log"), f"-p {self.port} -k {self.folder}"
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", log, "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", self._data)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _run(self, program: str, *words: str) -> None:
        # PostgreSQL refuses to be run by root
        as_user = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*as_user, str(self.programs / program), *words],
            check=False,
            stdin=subprocess.DEVNULL,
            # what it starts inherits its output: a pipe would never end
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_LIMIT_S,
            cwd=self.folder,
        )
        assert done.returncode == 0, f"{program} {' '.join(words)} failed; see {self.folder}/log"


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Running; skips the test where the package is not installed."""
    programs = sorted(_PACKAGES.glob("*/bin/pg_ctl"))
    if not programs or (os.geteuid() == 0 and shutil.which("runuser") is None):
        pytest.skip("Debian's package postgresql is not installed here")
    # not pytest's folder: only its user may enter that one
    with tempfile.TemporaryDirectory(prefix="vox-pg-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
        postgres = OwnPostgres(programs[-1].parent, Path(folder), _free_port())
        postgres.make()
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
