"""`voxfleet serve` as its operator meets it: one real server, real requests, a real end."""

from __future__ import annotations

import io
import shlex
import shutil
import socket
import subprocess
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.integration.server_process import COMMAND, ServerProcess, serving

FAKE = {"VOXFLEET_MODEL": "fake", "VOXFLEET_AUDIO__VAD": "energy"}


def sound(duration_s: float, pitch_hz: float = 440.0) -> bytes:
    times_s = np.arange(int(16_000 * duration_s)) / 16_000
    samples = (np.sin(2 * np.pi * pitch_hz * times_s) * 12_000).astype("<i2")
    kept = io.BytesIO()
    with wave.open(kept, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return kept.getvalue()


def ask(client: httpx.Client, body: bytes, name: str = "a.wav", **fields: str) -> httpx.Response:
    return client.post("/v1/audio/transcriptions", files={"file": (name, body)}, data=fields)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("data"), **FAKE) as running:
        yield running


def test_the_banner_names_model_address_and_a_curl_line(server: ServerProcess) -> None:
    with server.client() as client:
        assert client.get("/v1/models").json()["data"][0]["id"] == "fake"
    assert any(line.startswith("model") and "fake" in line for line in server.banner)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_line_works_as_printed(server: ServerProcess) -> None:
    line = server.banner[-1].removeprefix("try").strip()
    done = subprocess.run(
        [*shlex.split(line), "-sS"], capture_output=True, text=True, timeout=60, check=True
    )
    assert '"text"' in done.stdout


def test_probes_say_ready(server: ServerProcess) -> None:
    with server.client() as client:
        assert client.get("/health").json()["status"] == "ok"
        assert [client.get(path).status_code for path in ("/livez", "/readyz")] == [200, 200]


def test_the_same_sound_has_one_text_alone_or_in_a_crowd(server: ServerProcess) -> None:
    pitches = [200.0 + 50 * number for number in range(8)]
    with server.client() as client, ThreadPoolExecutor(8) as crowd:
        alone = [ask(client, sound(5, pitch)).json()["text"] for pitch in pitches]
        together = crowd.map(lambda pitch: ask(client, sound(5, pitch)).json()["text"], pitches)
        assert list(together) == alone
    assert len(set(alone)) == len(alone)


def test_asr_route(server: ServerProcess) -> None:
    with server.client() as client:
        answer = client.post("/asr", files={"audio": ("a.wav", sound(3))}).json()
    assert answer["status"] == "success"
    assert answer["text"]


def test_split_gives_a_text_per_channel(server: ServerProcess) -> None:
    left, right = (np.frombuffer(sound(3, pitch)[44:], "<i2") for pitch in (300, 600))
    kept = io.BytesIO()
    with wave.open(kept, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.stack([left, right], axis=1).tobytes())
    with server.client() as client:
        split = ask(client, kept.getvalue(), channel="split").json()
        alone = [ask(client, sound(3, pitch)).json()["text"] for pitch in (300, 600)]
    assert [each["text"] for each in split["channels"]] == alone
    assert [each["channel"] for each in split["channels"]] == ["left", "right"]


def test_silence_is_an_empty_text(server: ServerProcess) -> None:
    with server.client() as client:
        answer = ask(client, sound(3, 0.0))
    assert (answer.status_code, answer.json()["text"]) == (200, "")


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"", {400}),
        (b"\0" * 5000, {415}),
        (b"hello " * 1000, {415}),
        (sound(1)[:40], {400, 415, 422}),
    ],
)
def test_what_is_no_sound_is_the_clients_fault(
    server: ServerProcess, body: bytes, statuses: set[int]
) -> None:
    with server.client() as client:
        answer = ask(client, body, "odd.wav")
    assert answer.status_code in statuses
    message = answer.json()["error"]["message"]
    assert "odd.wav" in message
    assert "\n" not in message


#: what each broken recording is answered with: text where there is sound, else whose fault it is
MALFORMED = {
    "corrupt_file.wav": 422,
    "empty.wav": 400,
    "garbage.mp3": 415,
    "mp3_named.wav": 200,
    "odd_byte_count.wav": 200,
    "silence_3s.wav": 200,
    "streaming_sizes_ffffffff.wav": 200,
    "truncated.mp3": 200,
    "unknown_codec.wav": 415,
    "zero_channels.wav": 422,
}


@pytest.mark.speech
def test_every_malformed_recording_is_answered(server: ServerProcess, speech_dir: Path) -> None:
    with server.client() as client:
        answers = {
            path.name: ask(client, path.read_bytes(), path.name)
            for path in (speech_dir / "audio" / "malformed").iterdir()
        }
        assert client.get("/health").json()["status"] == "ok"
    assert {name: answer.status_code for name, answer in answers.items()} == MALFORMED
    for name, answer in answers.items():
        if answer.status_code != 200:
            assert name in answer.json()["error"]["message"]
    assert "truncated after" in answers["truncated.mp3"].json()["warnings"][0]
    assert answers["silence_3s.wav"].json()["text"] == ""


def test_a_file_is_not_refused_for_what_itself_has_waiting(tmp_path: Path) -> None:
    # 12 s of work under a limit of 15 s: its own segments wait, and nobody else's
    slow = {"VOXFLEET_FAKE__SPEED": "10", "VOXFLEET_SERVER__REQUEST_TIMEOUT_S": "15"}
    with serving(tmp_path, **FAKE, **slow) as server, server.client() as client:
        assert ask(client, sound(120), vad="off").status_code == 200


def test_nothing_of_a_request_stays(server: ServerProcess) -> None:
    with server.client() as client:
        ask(client, sound(3))
        ask(client, b"no sound")
    assert server.left_over() == []


def test_a_file_too_long_to_answer_in_time_is_sent_to_a_job(tmp_path: Path) -> None:
    slow = {"VOXFLEET_FAKE__SPEED": "10", "VOXFLEET_SERVER__REQUEST_TIMEOUT_S": "5"}
    with serving(tmp_path, **FAKE, **slow) as server, server.client() as client:
        answer = ask(client, sound(60), "meeting.wav")
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "audio_too_long"
        assert "meeting.wav" in answer.json()["error"]["message"]
        assert "job" in answer.json()["error"]["message"]
        assert answer.elapsed.total_seconds() < 3
        assert ask(client, sound(10)).status_code == 200


def test_health_answers_while_the_model_computes(tmp_path: Path) -> None:
    with serving(tmp_path, **FAKE, VOXFLEET_FAKE__SPEED="5") as server, server.client() as client:
        answers: list[int] = []
        busy = threading.Thread(target=lambda: answers.append(ask(client, sound(10)).status_code))
        busy.start()
        waits = []
        while busy.is_alive():
            waits.append(client.get("/health").elapsed.total_seconds())
        busy.join()
    assert answers == [200]
    assert len(waits) > 20
    assert sorted(waits)[len(waits) // 2] < 0.1


def test_a_crowd_is_refused_with_a_time_to_come_back(tmp_path: Path) -> None:
    narrow = {"VOXFLEET_QUEUE__MAX_WAITING": "1", "VOXFLEET_FAKE__SPEED": "5"}
    with (
        serving(tmp_path, **FAKE, **narrow) as server,
        server.client() as client,
        ThreadPoolExecutor(6) as crowd,
    ):
        answers = list(crowd.map(lambda _: ask(client, sound(10)), range(6)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert len(refused) == 4
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


def test_the_time_limit_of_a_request(tmp_path: Path) -> None:
    # the model claims a speed it does not have, so the limit is met while it computes
    slow = {"VOXFLEET_FAKE__FIXED_S": "30", "VOXFLEET_SERVER__REQUEST_TIMEOUT_S": "1"}
    with serving(tmp_path, **FAKE, **slow) as server, server.client() as client:
        answer = ask(client, sound(2))
        assert answer.status_code == 504
        assert client.get("/health").status_code == 200
        assert server.left_over() == []


def test_a_stop_signal_ends_everything(tmp_path: Path) -> None:
    with serving(tmp_path, **FAKE) as server:
        children = server.children()
        assert len(children) >= 2
        stderr = server.stop()
    assert server.process.returncode == 0
    assert "Traceback" not in stderr
    assert psutil.wait_procs(children, timeout=5)[1] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "logs", "voxfleet.db"]


def test_a_request_in_work_is_finished_before_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, **FAKE, VOXFLEET_FAKE__SPEED="5") as server, server.client() as client:
        answers: list[httpx.Response] = []
        busy = threading.Thread(target=lambda: answers.append(ask(client, sound(10))))
        busy.start()
        while not server.left_over():
            assert busy.is_alive()
        server.stop()
        busy.join()
    assert [answer.status_code for answer in answers] == [200]


def test_killed_it_takes_its_children_along(tmp_path: Path) -> None:
    with serving(tmp_path, **FAKE) as server:
        children = server.children()
        server.process.kill()
        assert psutil.wait_procs(children, timeout=10)[1] == []
    with serving(tmp_path, **FAKE) as again, again.client() as client:
        assert ask(client, sound(2)).status_code == 200


def refusal(*flags: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--model", "fake", "--data-dir", str(data_dir), *flags],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_busy_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = refusal("--port", str(port), data_dir=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr


def test_a_data_directory_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with serving(tmp_path, **FAKE) as server:
        done = refusal(data_dir=tmp_path)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert f"in use by process {server.process.pid}" in done.stderr


def test_a_model_that_cannot_start_is_one_clear_line(tmp_path: Path) -> None:
    done = refusal("--model", "no-such-model", data_dir=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "no-such-model" in done.stderr


def test_a_device_the_model_cannot_use_is_one_clear_line(tmp_path: Path) -> None:
    done = refusal("--model", "pocketsphinx", "--device", "cuda:0", data_dir=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "cuda:0" in done.stderr
    assert "set device to cpu" in done.stderr


def test_a_data_directory_with_a_long_path_serves(tmp_path: Path) -> None:
    with serving(tmp_path / ("x" * 200), **FAKE) as server, server.client() as client:
        assert ask(client, sound(2)).status_code == 200
