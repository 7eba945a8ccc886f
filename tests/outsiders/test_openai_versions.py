"""OpenAI's client in both major versions, unmodified, against real servers.

Each version runs in an interpreter of its own (`make test-outsiders` makes them) and says what it
got; what is expected of one is expected of both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.outsiders.outsider_rig import (
    REPOSITORY,
    StrangersServer,
    new_key,
    strangers_server,
)
from tests.outsiders.stranger_sound import noise

SCRIPT = Path(__file__).with_name("openai_scenarios.py")
CLIENTS = {
    "new": (Path(sys.executable), "3."),
    "old": (REPOSITORY / ".venv-openai1" / "bin" / "python", "1.109."),
}
#: faults that the `fake` engine plays for requests with these hotwords
FAULTS = {"VOXFLEET_FAKE__FAULT": "broken@kaputt,error@unreadable,crash@deadly"}
#: one segment in a batch, and each takes its time
PIECEMEAL = {"VOXFLEET_FAKE__SPEED": "100", "VOXFLEET_QUEUE__BATCH_GOAL_S": "0.3"}
SAID = "the meeting will begin at nine in the morning please write down what people say"
TEN_FIELDS = {
    *("id", "seek", "start", "end", "text", "tokens", "temperature"),
    *("avg_logprob", "compression_ratio", "no_speech_prob"),
}


@dataclass(frozen=True, slots=True)
class Client:
    """One version of the client, as a command."""

    python: Path
    version: str

    def ask(
        self, server: StrangersServer, sound: Path, *scenarios: str, key: str = "none"
    ) -> dict[str, Any]:
        command = [str(self.python), str(SCRIPT), f"{server.address}/v1", key, str(sound)]
        done = subprocess.run(
            [*command, *scenarios], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["version"].startswith(self.version)
        results: dict[str, Any] = told["results"]
        return results


@pytest.fixture(params=CLIENTS, scope="module")
def client(request: pytest.FixtureRequest) -> Client:
    return Client(*CLIENTS[request.param])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrangersServer]:
    with strangers_server(tmp_path_factory.mktemp("server"), FAULTS) as running:
        yield running


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for several segments."""
    path = tmp_path_factory.mktemp("sound") / "talk.wav"
    path.write_bytes(noise(70))
    return path


def raised(result: dict[str, Any]) -> tuple[str, int, str | None, str | None]:
    assert result["request_id"]
    return result["raised"], result["status"], result["code"], result["param"]


def test_every_format(client: Client, server: StrangersServer, sample_clip: Path) -> None:
    formats = ("json", "text", "verbose_json", "srt", "vtt")
    got = client.ask(server, sample_clip, *formats)
    text = got["json"]["text"]
    assert text
    assert got["json"]["usage"]["type"] == "duration"
    assert got["text"] == f"{text}\n"
    assert isinstance(got["verbose_json"]["duration"], float)
    assert set(got["verbose_json"]["segments"][0]) == TEN_FIELDS
    assert got["srt"].startswith("1\n00:00:0")
    assert got["vtt"].startswith("WEBVTT\n")


def test_word_times(client: Client, server: StrangersServer, sample_clip: Path) -> None:
    got = client.ask(server, sample_clip, "words", "words_only")
    both, words = got["words"], got["words_only"]
    assert [word["word"] for word in both["words"]] == both["text"].split()
    assert both["language"] == "en"
    assert both["segments"][0]["temperature"] == 0.2
    assert words["words"]
    assert not words.get("segments")


def test_real_words(client: Client, tmp_path: Path, sample_clip: Path) -> None:
    with strangers_server(tmp_path, {"VOXFLEET_MODEL": "pocketsphinx"}) as server:
        got = client.ask(server, sample_clip, "json", "stream")
    assert got["json"]["text"] == SAID
    assert got["stream"][-1]["text"] == SAID


def test_all_that_a_client_can_send(client: Client, server: StrangersServer, sound: Path) -> None:
    got = client.ask(server, sound, "everything", "logprobs")
    words = got["everything"]["text"].split()
    # about every fourth word of the `fake` engine is one of the hotwords it was given
    assert {"ZyntriQix", "Acme", "Mars"} <= set(words)
    assert "New York" in got["everything"]["text"]
    tokens = got["logprobs"]
    assert tokens.get("logprobs") or "include" in str(tokens["warnings"])


def test_the_new_client_has_a_field_for_hotwords(server: StrangersServer, sound: Path) -> None:
    got = Client(*CLIENTS["new"]).ask(server, sound, "keywords")
    assert "ZyntriQix" in got["keywords"].split()


def test_a_stream_is_the_text_in_pieces(client: Client, sound: Path, tmp_path: Path) -> None:
    with strangers_server(tmp_path, PIECEMEAL) as server:
        events = client.ask(server, sound, "stream")["stream"]
    assert [event["type"] for event in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1)
    assert len(events) > 2
    done = events[-1]
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in events[:-1]) == done["text"]
    # not `usage`: the client's event knows that of tokens alone, and is strict about it
    assert (done["duration"], done.get("usage")) == (70.0, None)


def test_a_stream_that_breaks_raises(client: Client, sound: Path, tmp_path: Path) -> None:
    failing = {**PIECEMEAL, "VOXFLEET_FAKE__FAULT": "error@2"}
    with strangers_server(tmp_path, failing) as server:
        got = client.ask(server, sound, "broken_stream")["broken_stream"]
    assert got["seen"] == ["transcript.text.delta"]
    assert (got["raised"], got["code"]) == ("APIError", "recognition_failed")


def test_models(client: Client, server: StrangersServer, sound: Path) -> None:
    got = client.ask(server, sound, "models")["models"]
    assert [model["id"] for model in got["listed"]] == ["fake"]
    assert got["one"] == got["listed"][0]
    assert got["one"]["owned_by"] == "voxfleet"


EXPECTED: dict[str, tuple[str, int, str, str | None]] = {
    "unknown_format": ("BadRequestError", 400, "invalid_value", "response_format"),
    "diarized": ("BadRequestError", 400, "invalid_value", "response_format"),
    "translate": ("BadRequestError", 400, "invalid_value", "model"),
    "empty_file": ("BadRequestError", 400, "empty_audio", "file"),
    "unknown_model": ("NotFoundError", 404, "model_not_found", "model"),
    "no_sound": ("APIStatusError", 415, "not_audio", None),
    "aimed_unreadable": ("UnprocessableEntityError", 422, "recognition_failed", None),
    "aimed_deadly": ("UnprocessableEntityError", 422, "poison", None),
    "aimed_kaputt": ("InternalServerError", 500, "engine_fault", None),
}


def test_faults_become_the_right_exceptions_at_once(
    client: Client, server: StrangersServer, sample_clip: Path
) -> None:
    got = client.ask(server, sample_clip, *EXPECTED)
    assert {name: raised(result) for name, result in got.items()} == EXPECTED
    # trying again could not help, and the client was told so
    assert {name: result["requests"] for name, result in got.items()} == dict.fromkeys(EXPECTED, 1)


def test_a_full_server_is_tried_again_until_it_has_room(
    client: Client, tmp_path: Path, sample_clip: Path
) -> None:
    busy = {
        "VOXFLEET_FAKE__FIXED_S": "4",
        "VOXFLEET_QUEUE__MAX_REQUESTS": "1",
        "VOXFLEET_QUEUE__MAX_WAITING": "0",
    }
    with strangers_server(tmp_path, busy) as server:
        first = threading.Thread(target=_occupy, args=(server, sample_clip))
        first.start()
        _wait_until_occupied(server)
        got = client.ask(server, sample_clip, "retried")["retried"]
        first.join(timeout=30)
    assert got["text"]
    assert got["retries"] == got["requests"] - 1 >= 1


def _occupy(server: StrangersServer, sound: Path) -> None:
    form = {"file": ("talk.wav", sound.read_bytes())}
    with server.client() as client:
        client.post("/v1/audio/transcriptions", files=form).raise_for_status()


def _wait_until_occupied(server: StrangersServer) -> None:
    deadline = time.monotonic() + 10
    with httpx.Client(base_url=server.address) as client:
        while client.get("/health").json()["queue"]["requests"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_keys(client: Client, tmp_path: Path, sample_clip: Path) -> None:
    good = new_key(tmp_path, "desk", "--requests-per-minute", "3")
    other = new_key(tmp_path, "prometheus", "--scope", "metrics")
    with strangers_server(tmp_path) as server:
        assert client.ask(server, sample_clip, "plain", key=good)["plain"]
        unknown = client.ask(server, sample_clip, "plain", key="vf-unknown")["plain"]
        wrong = client.ask(server, sample_clip, "plain", key=other)["plain"]
        limited = client.ask(server, sample_clip, "many", key=good)["many"]
    assert raised(unknown)[:3] == ("AuthenticationError", 401, "invalid_api_key")
    assert raised(wrong)[:3] == ("PermissionDeniedError", 403, "missing_scope")
    assert raised(limited)[:3] == ("RateLimitError", 429, "rate_limit_exceeded")
    assert unknown["requests"] == wrong["requests"] == 1
    assert 1 < limited["requests"] <= 3
