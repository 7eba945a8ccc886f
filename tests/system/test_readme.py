"""The README's promises, run as written: its curl line, its Python, and both say the same."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server_process import ServerProcess, serving

REPOSITORY = Path(__file__).resolve().parents[2]
README = {
    name: (REPOSITORY / name).read_text(encoding="utf-8")
    for name in ("README.md", "README.zh-CN.md")
}
PRINTED_ADDRESS = "http://127.0.0.1:7860"


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README[document], re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("document", README)
def test_the_curl_line_gives_the_answer_shown(server: ServerProcess, document: str) -> None:
    line = next(block for block in blocks(document, "sh") if block.startswith("curl"))
    done = subprocess.run(
        [*shlex.split(line.replace(PRINTED_ADDRESS, server.address)), "-sS"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(blocks(document, "json")[0])


@pytest.mark.parametrize("document", README)
def test_the_python_examples_run(
    server: ServerProcess, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    # the second goes on with the first one's client
    subtitles, stream = (
        example.replace(PRINTED_ADDRESS, server.address) for example in blocks(document, "python")
    )
    names: dict[str, object] = {}
    assert shown(subtitles, names).startswith("1\n00:00:00,")
    assert shown(stream, names) == json.loads(blocks(document, "json")[0])["text"]


def shown(example: str, names: dict[str, object]) -> str:
    """What the example prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README", "exec"), names)  # noqa: S102  (our own README)
    return printed.getvalue()


def test_both_readmes_show_the_same_figures_and_commands() -> None:
    # sorted: the two languages name the same figures in another order
    english, chinese = (
        (sorted(re.findall(r"\d+(?:[.,]\d+)*", text)), blocks(name, "python"))
        for name, text in README.items()
    )
    assert english == chinese
