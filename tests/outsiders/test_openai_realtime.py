"""The realtime part of OpenAI's client in both major versions, unmodified, against real servers.

The newer one speaks today's dialect, the older one that of the beta; what is said is known to the
character, as the tone checkpoint really recognises it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr  # type: ignore[import-untyped]

from tests.outsiders.outsider_rig import REPOSITORY, StrangersServer, new_key, strangers_server
from tests.tone_speech import heard, speak

SCRIPT = Path(__file__).with_name("realtime_scenarios.py")
CLIENTS = {
    "new": (Path(sys.executable), "3."),
    "old": (REPOSITORY / ".venv-openai1" / "bin" / "python", "1.109."),
}
#: a detector of speech rightly passes over tones
HEARS_TONES = {
    "VOXFLEET_MODEL": str(REPOSITORY / "tests" / "checkpoints" / "tone"),
    "VOXFLEET_AUDIO__VAD": "energy",
}
SAID = "天地人你好中国"
ERROR_CODES = ["input_audio_buffer_commit_empty", "invalid_audio", "not_supported"]


@dataclass(frozen=True, slots=True)
class Client:
    """One version of the client, as a command."""

    python: Path
    version: str

    def talk(
        self, server: StrangersServer, sound: Path, *scenarios: str, key: str = "none"
    ) -> dict[str, Any]:
        command = [str(self.python), str(SCRIPT), f"{server.address}/v1", key, str(sound)]
        done = subprocess.run(
            [*command, *scenarios], capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["version"].startswith(self.version)
        results: dict[str, Any] = told["results"]
        return results


@pytest.fixture(params=CLIENTS, scope="module")
def client(request: pytest.FixtureRequest) -> Client:
    made = Client(*CLIENTS[request.param])
    asked = subprocess.run(
        [made.python, "-c", "import websockets"], capture_output=True, check=False
    )
    if asked.returncode:
        pytest.skip(f"{made.python} has no websockets: install openai[realtime] there")
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrangersServer]:
    with strangers_server(tmp_path_factory.mktemp("server"), HEARS_TONES) as running:
        yield running


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw int16 at the 24 kHz that both dialects begin with."""
    spoken = speak(SAID).samples.astype(np.float32) / 32768
    raised = soxr.resample(spoken, 16_000, 24_000)
    path = tmp_path_factory.mktemp("sound") / "said.raw"
    path.write_bytes((raised * 32767).astype("<i2").tobytes())
    return path


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [each["transcript"] for each in events if each["type"].endswith(".completed")]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [each["type"].rpartition(".")[2] for each in events]


def test_a_client_that_commits_gets_every_utterance(
    client: Client, server: StrangersServer, sound: Path
) -> None:
    events = client.talk(server, sound, "committed")["committed"]["events"]
    assert texts(events) == [heard(SAID)] * 2
    assert "speech_started" not in kinds(events)
    ends = [each for each in events if each["type"].endswith(".completed")]
    assert all(each["usage"]["type"] == "duration" for each in ends)
    told = {end["item_id"]: end["transcript"] for end in ends}
    for item, text in told.items():
        grown = [
            each["delta"]
            for each in events
            if each["type"].endswith(".delta") and each["item_id"] == item
        ]
        assert "".join(grown) == text
    committed = [each for each in events if each["type"].endswith(".committed")]
    assert [each["item_id"] for each in committed] == list(told)
    assert committed[1]["previous_item_id"] == committed[0]["item_id"]


def test_the_server_finds_where_an_utterance_ends(
    client: Client, server: StrangersServer, sound: Path
) -> None:
    events = client.talk(server, sound, "detected")["detected"]["events"]
    assert texts(events) == [heard(SAID)] * 2
    of_turns = [kind for kind in kinds(events) if kind.startswith("speech_") or kind == "committed"]
    assert of_turns == ["speech_started", "speech_stopped", "committed"] * 2
    stops = [each["audio_end_ms"] for each in events if each["type"].endswith("speech_stopped")]
    length_ms = sound.stat().st_size / 48
    # half a second of silence after the last tone
    assert length_ms <= stops[0] <= length_ms + 800


def test_what_is_cleared_is_not_heard(client: Client, server: StrangersServer, sound: Path) -> None:
    events = client.talk(server, sound, "cleared")["cleared"]["events"]
    assert texts(events) == [heard(SAID)]


def test_errors_are_events_and_the_session_goes_on(
    client: Client, server: StrangersServer, sound: Path
) -> None:
    events = client.talk(server, sound, "faulty")["faulty"]["events"]
    errors = [each["error"] for each in events if each["type"] == "error"]
    assert [error["code"] for error in errors] == ERROR_CODES
    assert errors[0]["event_id"] == "mine"
    assert all(error["message"] and error["type"] for error in errors)
    assert texts(events) == [heard(SAID)]


def test_an_unknown_model_is_refused(client: Client, server: StrangersServer, sound: Path) -> None:
    got = client.talk(server, sound, "greeted:model=nonesuch")["greeted:model=nonesuch"]
    assert [each["error"]["code"] for each in got["events"]] == ["model_not_found"]
    assert got["raised"] == "ConnectionClosedError"


def test_keys(client: Client, tmp_path: Path, sound: Path) -> None:
    good = new_key(tmp_path, "desk")
    other = new_key(tmp_path, "prometheus", "--scope", "metrics")
    with strangers_server(tmp_path) as server:
        assert kinds(client.talk(server, sound, "greeted", key=good)["greeted"]["events"])
        unknown = client.talk(server, sound, "greeted", key="vf-unknown")["greeted"]
        wrong = client.talk(server, sound, "greeted", key=other)["greeted"]
    assert (unknown["status"], wrong["status"]) == (401, 403)
    assert json.loads(unknown["body"])["error"]["code"] == "invalid_api_key"


def test_a_key_as_browsers_show_it(client: Client, tmp_path: Path, sound: Path) -> None:
    """A page cannot choose the headers of a websocket, only its sub-protocols."""
    key = new_key(tmp_path, "browser")
    with strangers_server(tmp_path) as server:
        got = client.talk(server, sound, "greeted:sub_protocol", key=key)["greeted:sub_protocol"]
    assert kinds(got["events"]) == ["created"], got
