"""Streams of a real server: the exact text, and a worker that dies in the middle of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import soundfile

from scripts.make_random_punc import write_random_punc
from tests.integration.media_rig import bursts, write_wav
from tests.integration.server_process import ServerProcess, serving
from tests.integration.standin_service import TRANSCRIBE
from tests.tone_speech import SAMPLE_RATE_HZ, Manner, heard, speak
from voxfleet.transcribe.punctuation import Letters

TONE = Path(__file__).resolve().parent.parent / "checkpoints" / "tone"
#: pauses that the energy detector cuts at
SAID = (
    "你好天地人|大他中国上下|左右东西南北|山水火木金土|日月星风云|雨雪花草鸟鱼|马小你好 vox"
    "|ok fleet 天地|人大中国|小马鱼鸟草花"
)
Event = dict[str, object]


def events_of(response: httpx.Response) -> Iterator[Event]:
    assert response.status_code == 200
    for line in response.iter_lines():
        if line.startswith("data: "):
            event: Event = json.loads(line.removeprefix("data: "))
            yield event


def whole(events: list[Event]) -> str:
    """The text, which its deltas must add up to."""
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(str(event["delta"]) for event in deltas) == done["text"]
    return str(done["text"])


def test_a_worker_that_dies_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "meeting.wav", bursts(30))
    settings = {"VOXFLEET_FAKE__FIXED_S": "0.7", "VOXFLEET_AUDIO__VAD": "energy"}
    with serving(tmp_path / "data", "--model", "fake", **settings) as server:
        with server.client() as client:
            upload = {"file": path.read_bytes()}
            with client.stream(
                "POST", TRANSCRIBE, files=upload, data={"stream": "true"}
            ) as response:
                events = events_of(response)
                told = [next(events)]
                _worker(server).kill()
                told += events
            plain = client.post(TRANSCRIBE, files=upload).json()
            rows = client.get("/v1/instances").json()["data"]
        assert whole(told) == plain["text"]
        assert len(told) > 2
        assert [row["restarts"] for row in rows] == [1]
        assert server.left_over() == []


def _worker(server: ServerProcess) -> psutil.Process:
    (found,) = [child for child in server.children() if "voxfleet.worker" in child.cmdline()]
    return found


def test_marks_are_put_while_the_text_grows(tmp_path: Path) -> None:
    # random weights put their marks anywhere: what must hold is that nothing but marks is new
    model = write_random_punc(tmp_path / "ct-punc", bias={"。": 8.0})
    path = write_wav(tmp_path / "meeting.wav", bursts(12))
    settings = {"VOXFLEET_PUNCTUATION__DIR": str(model), "VOXFLEET_AUDIO__VAD": "energy"}
    upload = {"file": path.read_bytes()}
    with (
        serving(tmp_path / "data", "--model", "fake", **settings) as server,
        server.client() as client,
    ):
        plain = client.post(TRANSCRIBE, files=upload, data={"punctuate": "0"}).json()["text"]
        form = {"stream": "true"}
        with client.stream("POST", TRANSCRIBE, files=upload, data=form) as response:
            events = list(events_of(response))
    assert "warnings" not in events[-1]
    marked = whole(events)
    assert marked != plain
    assert Letters(marked).folded == Letters(plain).folded


def test_the_tone_language_by_exact_text(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "tone.wav"
    soundfile.write(path, speak(SAID, Manner(pause_s=1.2)).samples, SAMPLE_RATE_HZ, "PCM_16")
    form = {"stream": "true", "include[]": "logprobs"}
    with (
        serving(tmp_path / "data", "--model", str(TONE), VOXFLEET_AUDIO__VAD="energy") as server,
        server.client() as client,
        client.stream("POST", TRANSCRIBE, files={"file": path.read_bytes()}, data=form) as response,
    ):
        events = list(events_of(response))
    assert whole(events) == heard(SAID)
    assert len(events) > 2
    done = events[-1]["logprobs"]
    assert isinstance(done, list)
    assert "".join(entry["token"] for entry in done) == heard(SAID).replace(" ", "")
    assert all(-25 < entry["logprob"] <= 0 for entry in done)
