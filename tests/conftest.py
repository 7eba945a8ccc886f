"""What every test shares: real recordings, the sample clip, an environment without settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SPEECH_VARIABLE = "VOXFLEET_SPEECH_DIR"
_REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own VOXFLEET_ variables must not decide what a test sees."""
    for name in list(os.environ):
        if name.startswith("VOXFLEET_") and name != SPEECH_VARIABLE:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def speech_dir() -> Path:
    """The folder of real recordings; skips the test where there is none."""
    value = os.environ.get(SPEECH_VARIABLE)
    if not value:
        pytest.skip(f"{SPEECH_VARIABLE} is not set: no real recordings here")
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"{SPEECH_VARIABLE}={value}: no such folder")
    return folder


@pytest.fixture(scope="session")
def sample_clip() -> Path:
    """The synthesised English clip that the repository carries."""
    return _REPOSITORY / "src" / "voxfleet" / "samples" / "hello.wav"
