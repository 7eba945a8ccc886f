"""The whole system by exact text: a real server and the command line read the tone language."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from tests.integration.server_process import ServerProcess, serving
from tests.tone_speech import (
    SAMPLE_RATE_HZ,
    Manner,
    Spoken,
    heard,
    heard_pieces,
    random_pieces,
    speak,
    speak_pieces,
    written,
)

pytest.importorskip("torch")

MODEL = Path(__file__).resolve().parent.parent / "checkpoints" / "tone"
#: pauses that the energy detector cuts at
LONG = (
    "你好天地人|大他中国上下|左右东西南北|山水火木金土|日月星风云|雨雪花草鸟鱼|马小你好 vox"
    "|ok fleet 天地|人大中国|小马鱼鸟草花"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("tone")
    with serving(folder, "--model", str(MODEL), VOXFLEET_AUDIO__VAD="energy") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with server.client() as connected:
        yield connected


def wav(folder: Path, spoken: Spoken, name: str = "tone.wav") -> Path:
    path = folder / name
    soundfile.write(path, spoken.samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    return path


def ask(client: httpx.Client, path: Path, **fields: str) -> httpx.Response:
    answer = client.post(
        "/v1/audio/transcriptions",
        files={"file": (path.name, path.read_bytes())},
        data={"response_format": "json", **fields},
    )
    assert answer.status_code == 200, answer.text
    return answer


def text_of(answer: httpx.Response) -> str:
    text: str = answer.json()["text"]
    return text


def test_a_folder_is_known_by_its_name(client: httpx.Client) -> None:
    assert [row["id"] for row in client.get("/v1/models").json()["data"]] == ["tone"]


def test_segments_come_back_in_order_and_whole(client: httpx.Client, tmp_path: Path) -> None:
    spoken = speak(LONG, Manner(pause_s=1.2))
    answer = ask(client, wav(tmp_path, spoken), response_format="verbose_json").json()
    assert answer["text"] == heard(LONG)
    assert len(answer["segments"]) > 3
    starts = [segment["start"] for segment in answer["segments"]]
    assert starts == sorted(starts)


def test_words_have_the_time_they_were_spoken_at(client: httpx.Client, tmp_path: Path) -> None:
    text = "你好天地|人大中国上下|山水火木"
    spoken = speak(text, Manner(pause_s=1.5))
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    words = ask(client, wav(tmp_path, spoken), **fields).json()["words"]
    assert "".join(word["word"] for word in words) == heard(text)
    late = [abs(word["start"] - at) for word, at in zip(words, spoken.starts_s, strict=True)]
    assert max(late) < 0.15


def test_each_request_has_its_own_hotwords(client: httpx.Client, tmp_path: Path) -> None:
    text = "你好他中国|天地他中国人|上下左右"
    path = wav(tmp_path, speak(text, Manner(pause_s=1.2)))
    lists = {
        "": (),
        "它中国": ("它中国",),
        '{"她中国": 20}': ("她中国",),
        "马小,它中": ("马小", "它中"),
    }

    def one(asked: str) -> bool:
        fields = {"hotwords": asked} if asked else {}
        return text_of(ask(client, path, **fields)) == heard(text, lists[asked])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, [*lists] * 5))
    assert len({heard(text, words) for words in lists.values()}) > 2


def test_a_hotword_without_tokens_is_named(client: httpx.Client, tmp_path: Path) -> None:
    path = wav(tmp_path, speak("你好天地人"))
    answer = ask(client, path, hotwords="龘龘,好天")
    assert text_of(answer) == "你好天地人"
    assert "龘龘" in " ".join(answer.json()["warnings"])


def test_many_at_once_are_as_each_alone(client: httpx.Client, tmp_path: Path) -> None:
    rng = np.random.default_rng(30_000_001)
    pieces = [random_pieces(rng, int(rng.integers(3, 25)), pauses=True) for _ in range(24)]
    spoken = [speak_pieces(each, Manner(), rng) for each in pieces]
    paths = [wav(tmp_path, each, f"{place}.wav") for place, each in enumerate(spoken)]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda path: text_of(ask(client, path)), paths))
    assert found == [written(heard_pieces(each.pieces)) for each in spoken]


def test_a_killed_worker_costs_no_word(tmp_path: Path) -> None:
    path = wav(tmp_path, speak(f"{LONG}|{LONG}", Manner(pause_s=1.0)))
    with (
        serving(
            tmp_path / "data",
            "--model",
            str(MODEL),
            "--instances",
            "2",
            VOXFLEET_AUDIO__VAD="energy",
        ) as running,
        running.client() as client,
        ThreadPoolExecutor(4) as pool,
    ):
        waiting = [pool.submit(ask, client, path) for _ in range(4)]
        workers = [child for child in running.children() if "voxfleet.worker" in child.cmdline()]
        assert len(workers) == 2
        _kill(workers[0])
        assert {text_of(answer.result()) for answer in waiting} == {heard(f"{LONG}|{LONG}")}


def _kill(worker: psutil.Process) -> None:
    worker.kill()


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16", "int8"])
def test_the_command_line_reads_the_same(tmp_path: Path, precision: str) -> None:
    text = "你好天地人|大他中国上下|ok vox fleet 山水"
    path = wav(tmp_path, speak(text, Manner(pause_s=1.2)))
    command = [sys.executable, "-m", "voxfleet.cli", "transcribe", "--model", str(MODEL)]
    options = ["--vad", "energy", "--precision", precision, "--hotwords", "它中国", "--no-progress"]
    done = subprocess.run(
        [*command, *options, str(path)], check=False, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == heard(text, ["它中国"])
