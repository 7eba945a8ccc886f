"""What `voxfleet listen` says and how it ends when something is wrong."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.integration.standin_realtime import standin_realtime
from tests.system.listen_rig import LIMIT_S, Done, listen, started, write_recording

REFUSAL = {"error": {"message": "try later", "type": "t", "param": None, "code": "overloaded"}}


@pytest.fixture
def recording(tmp_path: Path) -> str:
    return write_recording(tmp_path / "talk.wav")


async def test_an_utterance_without_text_is_told_and_counts(recording: str) -> None:
    async with standin_realtime(failing=True) as server:
        done = await listen(recording, "--url", server.url, "--fast")
    line = "voxfleet: an utterance has no text: the worker broke\n"
    assert done == Done(1, "", 3 * line)


@pytest.mark.parametrize(
    ("faults", "state", "said"),
    [
        ({"refusal": (503, REFUSAL)}, 1, "try later"),
        ({"refusal": (404, {})}, 1, "answers 404 to a realtime session"),
        ({"fault": {"code": "invalid_value", "message": "no vad 'x'"}}, 2, "no vad 'x'"),
        ({"ending": (1013, "is full")}, 1, "the server ended the session (1013: is full)"),
    ],
)
async def test_a_server_that_does_not_want(
    recording: str, faults: dict[str, object], state: int, said: str
) -> None:
    async with standin_realtime(**faults) as server:
        done = await listen(recording, "--url", server.url, "--fast")
    assert done.state == state
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "state", "said"),
    [
        (["nonesuch.wav"], 2, "nonesuch.wav: no such file"),
        (["/"], 2, "not a file"),
        (["-", "--rate", "0"], 2, "--rate 0: no rate of sound"),
        (["-", "--url", "nonsense"], 2, "--url 'nonsense'"),
        (["-", "--url", "http://127.0.0.1:9"], 1, "start a server with voxfleet serve"),
        (["-", "--hotwords", '["a'], 2, "--hotwords"),
    ],
)
async def test_what_cannot_be_done_is_one_line(words: list[str], state: int, said: str) -> None:
    done = await listen(*words)
    assert (done.state, done.out) == (state, "")
    assert said in done.err
    assert done.err.count("\n") == 1


async def test_a_file_that_is_no_sound(tmp_path: Path) -> None:
    letter = tmp_path / "letter.wav"
    letter.write_text("Dear Sir or Madam, " * 50)
    async with standin_realtime() as server:
        done = await listen(str(letter), "--url", server.url)
    assert (done.state, done.err.count("\n")) == (2, 1)
    assert "not audio" in done.err


async def test_a_reader_that_leaves_ends_it(recording: str) -> None:
    async with (
        standin_realtime() as server,
        started(recording, "--url", server.url) as process,
        asyncio.timeout(LIMIT_S),
    ):
        assert process.stdout
        transport = process.stdout._transport  # type: ignore[attr-defined]
        transport.close()
        assert await process.wait() == 128 + signal.SIGPIPE
        assert process.stderr
        assert await process.stderr.read() == b""
