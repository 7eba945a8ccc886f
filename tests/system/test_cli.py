"""The command line as its user runs it: real processes, real files, exit states."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

COMMAND = [sys.executable, "-m", "voxfleet.cli"]


def run(
    *words: str | Path, stdin: bytes | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | {"VOXFLEET_MODEL": "fake", "VOXFLEET_AUDIO__VAD": "energy"} | extra,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def tone(path: Path, duration_s: float = 2.0, pitch_hz: float = 440.0) -> Path:
    times_s = np.arange(int(16_000 * duration_s)) / 16_000
    samples = (np.sin(2 * np.pi * pitch_hz * times_s) * 12_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    return [tone(tmp_path / f"{pitch}.wav", pitch_hz=pitch) for pitch in (300, 500, 700)]


def test_one_file_is_its_text_alone(clips: list[Path]) -> None:
    done = run("transcribe", clips[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) >= 3
    assert done.stdout.count("\n") == 1


def test_several_files_come_in_order_under_their_names(clips: list[Path]) -> None:
    done = run("transcribe", *reversed(clips))
    headings = [line for line in done.stdout.splitlines() if line.startswith("==> ")]
    assert headings == [f"==> {path} <==" for path in reversed(clips)]


def test_several_files_as_json_are_one_object_a_line(clips: list[Path]) -> None:
    done = run("transcribe", "--format", "verbose_json", clips[0].parent)
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["file"] for each in objects] == [str(path) for path in clips]
    assert all(each["words"] and each["duration"] == 2.0 for each in objects)


@pytest.mark.parametrize(
    ("name", "ending"),
    [("text", "txt"), ("srt", "srt"), ("vtt", "vtt"), ("tsv", "tsv"), ("json", "json")],
)
def test_output_dir_gets_a_file_each(
    clips: list[Path], tmp_path: Path, name: str, ending: str
) -> None:
    folder = tmp_path / "new" / "texts"
    done = run("transcribe", *clips, "--format", name, "--output-dir", folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{p}.{ending}" for p in (300, 500, 700)
    ]
    assert all(path.stat().st_size for path in folder.iterdir())


def test_standard_input(clips: list[Path]) -> None:
    assert (
        run("transcribe", "-", stdin=clips[0].read_bytes()).stdout
        == run("transcribe", clips[0]).stdout
    )


def test_one_bad_file_is_named_and_the_others_are_done(clips: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound at all" * 100)
    done = run("transcribe", clips[0], bad, tmp_path / "gone.wav", clips[1])
    assert done.returncode == 1
    assert done.stdout.count("==> ") == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert str(bad) in lines[0]
    assert "gone.wav: no such file" in lines[1]


@pytest.mark.parametrize(
    "words",
    [
        ["transcribe"],
        ["transcribe", "x.wav", "--format", "docx"],
        ["transcribe", "x.wav", "--vad", "loud"],
        ["transcribe", "x.wav", "--no-such-flag"],
        ["transcribe", "*.nothing-like-this"],
        ["transcribe", ""],
        ["serve", "--port", "99999"],
        ["serve", "--config", "gone.toml"],
        ["config", "check", "--config", "gone.toml"],
    ],
)
def test_a_wrong_command_is_exit_state_2(words: list[str], tmp_path: Path) -> None:
    done = run(*words, XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_nobody_has_is_named(clips: list[Path]) -> None:
    done = run("transcribe", clips[0], "--model", "pocketsphnix")
    assert done.returncode == 2
    assert "pocketsphnix" in done.stderr
    assert "pocketsphinx" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_language_the_model_lacks_is_refused(clips: list[Path]) -> None:
    done = run("transcribe", clips[0], "--model", "pocketsphinx", "--language", "zh")
    assert done.returncode == 1
    assert "zh" in done.stderr
    assert done.stdout == ""


def test_odd_names_are_reported_not_crashed_on(clips: list[Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    done = run("transcribe", "x" * 300, pipe, "/dev/zero", tmp_path / "a.wav" / "b", clips[0])
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 4
    assert "Traceback" not in done.stderr
    assert done.stdout.count("==> ") == 1


def test_a_name_that_is_no_text(clips: list[Path], tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"bad\xff.wav")
    clips[0].rename(odd)
    done = run("transcribe", odd, clips[1])
    assert (done.returncode, done.stderr) == (0, "")
    assert "bad\\udcff.wav" in done.stdout
    bad = tmp_path / os.fsdecode(b"broken\xff.wav")
    bad.write_bytes(b"no sound" * 500)
    done = run("transcribe", bad, clips[1])
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_an_output_folder_that_is_a_file_is_a_wrong_command(clips: list[Path]) -> None:
    done = run("transcribe", clips[0], "-o", clips[1])
    assert done.returncode == 2
    assert "is a file" in done.stderr
    done = run("transcribe", clips[0], "-o", clips[1] / "deeper")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [
        (">&-", 2, "standard output is closed"),
        (">/dev/full", 1, "standard output: cannot be written"),
        ("| true", 0, ""),
        ("2>&-", 0, ""),
        ("<&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(
    clips: list[Path], redirection: str, status: int, said: str
) -> None:
    line = f"{sys.executable} -m voxfleet.cli transcribe {clips[0]} {clips[1]} {redirection}"
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"VOXFLEET_MODEL": "fake"},
    )
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_standard_input_that_is_closed_is_one_line() -> None:
    line = f"{sys.executable} -m voxfleet.cli transcribe - --model fake <&-"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "standard input" in done.stderr


def test_waiting_for_standard_input_can_be_interrupted(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "transcribe", "-"],
        env=os.environ | {"VOXFLEET_MODEL": "fake", "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        wait_for_file(tmp_path, "*/uploads/stdin")
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 128 + signal.SIGINT
        assert running.stderr is not None
        assert running.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []


def test_hotwords_that_are_no_text_fail_at_once_and_cost_nobody_else(clips: list[Path]) -> None:
    done = run("transcribe", *clips, "--hotwords", os.fsdecode(b"\xff"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 3
    assert "not valid text" in done.stderr
    assert "Traceback" not in done.stderr


def test_hotwords_that_are_not_used_are_said_so(clips: list[Path]) -> None:
    done = run("transcribe", clips[0], "--model", "pocketsphinx", "--hotwords", "acme")
    assert done.returncode == 0
    assert "hotwords: not used" in done.stderr


def test_nothing_is_left_behind(clips: list[Path], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run("transcribe", *clips, TMPDIR=str(scratch))
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_ends_at_once_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    clip = tone(tmp_path / "long.wav", 60)
    slow = {"VOXFLEET_FAKE__SPEED": "0.1", "VOXFLEET_MODEL": "fake", "TMPDIR": str(scratch)}
    with subprocess.Popen(
        [*COMMAND, "transcribe", str(clip), "--vad", "off"],
        env=os.environ | slow,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        wait_for_file(scratch, "*/spool/*/*")
        running.send_signal(number)
        _, stderr = running.communicate(timeout=20)
    assert running.returncode == 128 + number
    assert b"Traceback" not in stderr
    assert list(scratch.iterdir()) == []


def wait_for_file(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 30
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern} within 30 s"
        time.sleep(0.02)


def test_config_show_and_check(tmp_path: Path) -> None:
    file = tmp_path / "v.toml"
    file.write_text("[server]\nport = 9000\n")
    shown = run("config", "show", "--config", file)
    assert f"port = 9000  # {file}" in shown.stdout
    assert run("config", "check", "--config", file).returncode == 0
    file.write_text("[server]\nprot = 9000\n")
    wrong = run("config", "check", VOXFLEET_CONFIG=str(file))
    assert wrong.returncode == 2
    assert "did you mean 'server.port'" in wrong.stderr
