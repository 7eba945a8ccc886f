"""The bundled model on real English speech: the command as typed, the word error rate it has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jiwer
import pytest

MAX_WORD_ERROR_RATE = 0.35


def words(text: str) -> str:
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())


def references(speech_dir: Path) -> dict[str, str]:
    """File name to text for the LibriSpeech and JFK clips."""
    rows = map(json.loads, (speech_dir / "manifest.jsonl").read_text("utf-8").splitlines())
    return {
        Path(row["file"]).name: words(row["text"])
        for row in rows
        if row["file"].startswith("audio/en/")
    }


@pytest.mark.speech
def test_word_error_rate_of_the_bundled_model(speech_dir: Path) -> None:
    expected = references(speech_dir)
    files = [str(speech_dir / "audio" / "en" / name) for name in expected]
    done = subprocess.run(
        [sys.executable, "-m", "voxfleet.cli", "transcribe", "--format", "json", *files],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ,
    )
    heard = {
        Path(row["file"]).name: words(row["text"])
        for row in map(json.loads, done.stdout.splitlines())
    }
    assert set(heard) == set(expected)
    rate = jiwer.wer(list(expected.values()), [heard[name] for name in expected])
    assert rate < MAX_WORD_ERROR_RATE
