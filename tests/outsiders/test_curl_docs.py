"""Every curl line of the documents does what it says, run by a shell against a real server."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outsiders.outsider_rig import REPOSITORY, StrangersServer, strangers_server

#: the README's first line is run, with its answer, by tests/system/test_readme.py
DOCUMENTS = ("README.md", "README.zh-CN.md", "docs/http-api.md")
PRINTED_ADDRESS = "http://127.0.0.1:7860"
_SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: what an example may name that lies in no folder of this repository
_SOUND_FILE = re.compile(r"@([\w.-]+\.(?:wav|mp3|m4a|flac|pcm))")


def curl_lines() -> list[tuple[str, str]]:
    """Each with its document; continued lines are joined."""
    return [
        (document, line)
        for document in DOCUMENTS
        for block in _SHELL_BLOCK.findall((REPOSITORY / document).read_text(encoding="utf-8"))
        for line in block.replace("\\\n", " ").splitlines()
        if "curl " in line
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrangersServer]:
    with strangers_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, sample_clip: Path, server: StrangersServer) -> Path:
    """Where the examples are run: it has the files that they name, and the repository's.

    So has the server the list of hotwords that they name.
    """
    with server.client() as client:
        client.put("/v1/hotwords/products", json={"words": ["Zyntrix"]}).raise_for_status()
    (tmp_path / "src").symlink_to(REPOSITORY / "src")
    for _, line in curl_lines():
        for name in _SOUND_FILE.findall(line):
            shutil.copyfile(sample_clip, tmp_path / name)
    return tmp_path


def test_there_are_examples() -> None:
    assert len(curl_lines()) > 3


@pytest.mark.parametrize(("document", "line"), curl_lines())
def test_the_example_is_answered_well(
    server: StrangersServer, folder: Path, document: str, line: str
) -> None:
    # --fail-with-body: a refusal is a failure, and is shown
    shown = line.replace(PRINTED_ADDRESS, server.address).replace(
        "curl ", "curl --fail-with-body -sS ", 1
    )
    assert server.address in shown, f"{document}: {line} calls another server"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shown],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{document}: {line}\n{done.stdout}{done.stderr}"


def test_every_line_is_one_that_a_shell_takes() -> None:
    for _, line in curl_lines():
        assert shlex.split(line, comments=True)
