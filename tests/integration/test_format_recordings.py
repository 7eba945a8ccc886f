"""Real recordings in every format have their length and are not silent; broken ones say why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxfleet.audio.decode import open_audio
from voxfleet.core import ChannelMode, RawPcm
from voxfleet.errors import (
    AudioError,
    CorruptAudioError,
    EmptyAudioError,
    NotAudioError,
    UnsupportedAudioError,
)

pytestmark = pytest.mark.speech

_LOSSLESS_CODECS = ("pcm", "flac")
#: all of formats-derived is one utterance of this length, re-encoded
_DERIVED_S = 4.204


def _read(
    path: Path, channel: ChannelMode = ChannelMode.MIX
) -> tuple[float, float, str, list[str]]:
    """(seconds, root mean square, codec, warnings)"""
    raw_pcm = RawPcm() if path.suffix == ".pcm" else None
    with open_audio(path, path.name, channel, raw_pcm) as stream:
        count, energy = 0, 0.0
        while len(samples := stream.read(30 * 16_000)):
            count += len(samples)
            energy += float(np.square(samples, dtype=np.float64).sum())
        return count / 16_000, (energy / count) ** 0.5, stream.info.codec, stream.warnings


def _lengths(speech_dir: Path) -> dict[str, float]:
    rows = map(json.loads, (speech_dir / "manifest.jsonl").read_text("utf-8").splitlines())
    return {
        row["file"]: row.get("dur") or _DERIVED_S
        for row in rows
        if row["file"].startswith("audio/formats") and not row["file"].endswith(".sph")
    }


def test_every_format_has_its_length_and_sound(speech_dir: Path) -> None:
    lengths = _lengths(speech_dir)
    assert len(lengths) >= 20
    faults = []
    for file, expected_s in lengths.items():
        seconds, loudness, codec, warnings = _read(speech_dir / file)
        tolerance_s = 0.05 if codec.startswith(_LOSSLESS_CODECS) else 0.15
        if abs(seconds - expected_s) > tolerance_s or loudness < 100 or warnings:
            faults.append((file, seconds, expected_s, loudness, warnings))
    assert faults == []


def test_shorten_is_refused_by_name(speech_dir: Path) -> None:
    with pytest.raises(UnsupportedAudioError, match=r"shorten.*sph2pipe"):
        _read(speech_dir / "audio/formats/sph2pipe_2ch_ulaw_shorten.sph")


def test_a_call_splits_into_its_speakers(speech_dir: Path) -> None:
    path = speech_dir / "audio/telephone-stereo/two_speakers_stereo_16k.wav"
    with open_audio(path, path.name, ChannelMode.SPLIT) as stream:
        samples = stream.read(1 << 24)
    assert samples.shape[1] == 2
    assert not np.array_equal(samples[:, 0], samples[:, 1])


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ("corrupt_file.wav", CorruptAudioError),
        ("empty.wav", EmptyAudioError),
        ("garbage.mp3", NotAudioError),
        ("unknown_codec.wav", UnsupportedAudioError),
        ("zero_channels.wav", CorruptAudioError),
    ],
)
def test_hopeless_recordings_are_refused(
    file: str, error: type[AudioError], speech_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(error) as caught:
        _read(speech_dir / "audio/malformed" / file)
    assert caught.value.message.startswith(f"{file}: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("file", "seconds"),
    [
        ("mp3_named.wav", 5.55),
        ("odd_byte_count.wav", 4.20),
        ("silence_3s.wav", 3.0),
        ("streaming_sizes_ffffffff.wav", 4.20),
    ],
)
def test_odd_but_good_recordings_are_read(file: str, seconds: float, speech_dir: Path) -> None:
    read_s, _, _, warnings = _read(speech_dir / "audio/malformed" / file)
    assert read_s == pytest.approx(seconds, abs=0.05)
    assert warnings == []


def test_truncated_mp3_gives_what_is_left(
    speech_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seconds, _, _, warnings = _read(speech_dir / "audio/malformed/truncated.mp3")
    assert seconds > 0.5
    assert warnings == [f"truncated after {seconds:.1f} s of 5.5 s"]
    assert capfd.readouterr() == ("", "")
