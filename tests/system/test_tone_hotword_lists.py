"""Named lists on a real server, by exact text: homophones only a list tells apart, and kill -9."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import soundfile

from tests.integration.server_process import ServerProcess, serving
from tests.tone_speech import SAMPLE_RATE_HZ, Manner, heard, speak

pytest.importorskip("torch")

MODEL = Path(__file__).resolve().parent.parent / "checkpoints" / "tone"
TEXT = "你好他中国|天地他中国人|上下左右"
#: the same sounds written in three ways
PLAIN, FIRST, SECOND = heard(TEXT), heard(TEXT, ("它中国",)), heard(TEXT, ("她中国",))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("lists")
    with serving(folder, "--model", str(MODEL), VOXFLEET_AUDIO__VAD="energy") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as connected:
        yield connected


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    spoken = speak(TEXT, Manner(pause_s=1.2))
    soundfile.write(path, spoken.samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    return path


def ask(client: httpx.Client, path: Path, **fields: str) -> httpx.Response:
    files = {"file": (path.name, path.read_bytes())}
    return client.post("/v1/audio/transcriptions", files=files, data=fields)


def test_homophones_are_told_apart_by_the_list_that_is_named(
    client: httpx.Client, recording: Path
) -> None:
    assert len({PLAIN, FIRST, SECOND}) == 3
    client.put("/v1/hotwords/国名", json={"words": ["它中国"]}).raise_for_status()
    assert ask(client, recording).json()["text"] == PLAIN
    assert ask(client, recording, hotwords="@国名").json()["text"] == FIRST
    mixed = ask(client, recording, hotwords="马小, @国名")
    assert mixed.json()["text"] == heard(TEXT, ("马小", "它中国")) == FIRST
    client.put("/v1/hotwords/国名", json={"words": ["她中国"]}).raise_for_status()
    assert ask(client, recording, hotwords='{"@国名": 20}').json()["text"] == SECOND
    client.delete("/v1/hotwords/国名").raise_for_status()
    refused = ask(client, recording, hotwords="@国名")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "hotwords")


def test_words_without_tokens_are_told_when_the_list_is_put(client: httpx.Client) -> None:
    answer = client.put("/v1/hotwords/rare", json={"words": ["龘龘", "它中国", "vox fleet"]})
    assert answer.json()["unknown"] == {"tone": ["龘龘"]}
    assert answer.json()["unchecked"] == []


def test_lists_outlive_a_server_that_is_killed(tmp_path: Path) -> None:
    words = [f"word {n}" for n in range(1000)]
    with serving(tmp_path, "--model", "fake") as killed, killed.client() as client:
        children = killed.children()
        for version in range(1, 4):
            answer = client.put("/v1/hotwords/big", json={"words": [*words[version:], "x"]})
            assert answer.json()["version"] == version
        killed.process.kill()
        killed.process.wait()
        for child in children:
            # a worker that hears its server no more ends by itself
            child.wait(timeout=30)
    with serving(tmp_path, "--model", "fake") as running, running.client() as client:
        kept = client.get("/v1/hotwords/big")
        assert (kept.headers["etag"], kept.json()["words"]) == ('"3"', [*words[3:], "x"])
        old = client.get("/v1/hotwords/big", params={"version": 1})
        assert old.json()["words"] == [*words[1:], "x"]
