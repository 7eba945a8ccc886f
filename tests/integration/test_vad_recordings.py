"""The detectors on real recordings: published segments, any slicing, hand labels, no speech."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voxfleet.audio.decode import open_audio
from voxfleet.audio.detectors import make_detector
from voxfleet.audio.loudness import FrameLevels
from voxfleet.audio.onnx_session import open_session
from voxfleet.audio.segmenter import Segmenter
from voxfleet.audio.silero_stream import SileroStream
from voxfleet.audio.speech import SpeechSpan
from voxfleet.audio.vad_silero import silero_file, silero_weights
from voxfleet.config_sources import load_settings
from voxfleet.core import VadMode
from voxfleet.media.file_cutter import segment_limits
from voxfleet.part_settings import media_settings

pytestmark = pytest.mark.speech

RATE = 16_000
FSMN_FOLDER = Path("models") / "fsmn-vad-16k"
#: what a server has unless it is told otherwise
LIMITS = segment_limits(media_settings(load_settings({}, {})))
MODES = [VadMode.FSMN, VadMode.SILERO, VadMode.ENERGY]


def recording(path: Path) -> NDArray[np.int16]:
    blocks = []
    with open_audio(path, path.name) as stream:
        while len(block := stream.read(RATE * 30)):
            blocks.append(block[:, 0])
    return np.concatenate(blocks)


def found(
    speech_dir: Path, mode: VadMode, samples: NDArray[np.int16], step: int
) -> list[SpeechSpan]:
    detector = make_detector(mode, speech_dir / FSMN_FOLDER, 30.0)
    spans: list[SpeechSpan] = []
    for at in range(0, len(samples), step):
        spans += detector.push(samples[at : at + step]).spans
    last = detector.finish()
    assert last.settled == len(samples)
    return spans + list(last.spans)


def speech_frames(spans: list[SpeechSpan], total: int) -> NDArray[np.bool_]:
    frames = np.zeros(total // 160, bool)
    for span in spans:
        frames[span.start // 160 : span.end // 160] = True
    return frames


def labelled(speech_dir: Path) -> list[Path]:
    return sorted((speech_dir / "audio" / "vad-labelled").glob("*.scv"))


def hand_labels(path: Path, total: int) -> NDArray[np.bool_]:
    """A label file is one line: name, then start, end, 1 for speech, and so on, in seconds."""
    fields = path.read_text(encoding="utf-8").strip().split(",")[1:]
    spans = [
        SpeechSpan(round(float(begin) * RATE), round(float(end) * RATE))
        for begin, end, speech in zip(fields[::3], fields[1::3], fields[2::3], strict=True)
        if int(speech)
    ]
    return speech_frames(spans, total)


def test_fsmn_finds_the_published_segments(speech_dir: Path) -> None:
    rows = (speech_dir / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    row = next(json.loads(line) for line in rows if "vad_example.wav" in line)
    golden = row["golden"]["fsmn-vad (FunASR test)"]
    samples = recording(speech_dir / row["file"])
    spans = found(speech_dir, VadMode.FSMN, samples, 30 * RATE)
    assert len(golden) == 12
    assert [[span.start // 16, span.end // 16] for span in spans] == golden


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "name", ["vad-labelled/vad_example.wav", "en/jfk.flac", "diarization/pyannote_sample.wav"]
)
def test_slicing_changes_nothing(speech_dir: Path, mode: VadMode, name: str) -> None:
    samples = recording(speech_dir / "audio" / name)
    whole = found(speech_dir, mode, samples, len(samples))
    assert whole
    for step in (30 * RATE, 9600, 1237):
        assert found(speech_dir, mode, samples, step) == whole


@pytest.mark.parametrize(("mode", "agreement"), [(VadMode.FSMN, 0.7), (VadMode.SILERO, 0.85)])
def test_hand_labels_are_met(speech_dir: Path, mode: VadMode, agreement: float) -> None:
    """Speech that people marked is found; fsmn keeps the short pauses within it, as published."""
    hit, missed, total = 0, 0, 0
    for labels in labelled(speech_dir):
        samples = recording(labels.with_suffix(".wav"))
        said = hand_labels(labels, len(samples))
        heard = speech_frames(found(speech_dir, mode, samples, len(samples)), len(samples))
        hit += int((said == heard).sum())
        missed += int((said & ~heard).sum())
        total += len(said)
    assert total > 2000
    assert hit / total > agreement
    assert missed / total < 0.08


@pytest.mark.parametrize(
    "name", ["vad-labelled/vad_example.wav", "en/jfk.flac", "diarization/pyannote_sample.wav"]
)
def test_silero_hears_what_its_published_model_hears(speech_dir: Path, name: str) -> None:
    sound = np.concatenate((np.zeros(64, np.int16), recording(speech_dir / "audio" / name)))
    computed = SileroStream(silero_weights()).run(sound)
    session, scaled = open_session(silero_file()), sound.astype(np.float32) / 32768
    state, rate = np.zeros((2, 1, 128), np.float32), np.array(RATE, np.int64)
    for chunk, heard in enumerate(computed):
        chunk_of_sound = scaled[None, chunk * 512 : chunk * 512 + 576]
        feed: dict[str, NDArray[Any]] = {"input": chunk_of_sound, "state": state, "sr": rate}
        probability, state = session.run(None, feed)
        assert abs(probability[0, 0] - heard) < 1e-4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["en/jfk.flac", "en/librispeech-1995-1837-0001.wav"])
def test_read_speech_is_speech(speech_dir: Path, mode: VadMode, name: str) -> None:
    samples = recording(speech_dir / "audio" / name)
    heard = speech_frames(found(speech_dir, mode, samples, len(samples)), len(samples))
    assert heard.mean() > 0.6


@pytest.mark.parametrize("mode", MODES)
def test_spoken_digits_from_the_telephone_are_speech(speech_dir: Path, mode: VadMode) -> None:
    pause = np.zeros(RATE, np.int16)
    clips = sorted((speech_dir / "audio" / "en-digits-8k").glob("*_jackson_*.wav"))
    digits = [recording(path) for path in clips]
    samples = np.concatenate([part for digit in digits for part in (pause, digit, pause)])
    spans = found(speech_dir, mode, samples, len(samples))
    at = 0
    for digit in digits:
        middle = at + RATE + len(digit) // 2
        assert any(span.start <= middle < span.end for span in spans)
        at += len(digit) + 2 * RATE


@pytest.mark.parametrize("mode", MODES)
def test_silence_is_no_speech(speech_dir: Path, mode: VadMode) -> None:
    samples = recording(speech_dir / "audio" / "malformed" / "silence_3s.wav")
    assert found(speech_dir, mode, samples, len(samples)) == []


@pytest.mark.parametrize("mode", [*MODES, VadMode.OFF])
def test_segments_of_a_long_recording(speech_dir: Path, mode: VadMode) -> None:
    name = "long_en_librivox_david_copperfield.ogg"
    samples = recording(speech_dir / "audio" / "long" / name)
    whole = segments(speech_dir, mode, samples, len(samples))
    assert segments(speech_dir, mode, samples, 30 * RATE) == whole
    lengths = [(segment.end - segment.start) / RATE for segment in whole]
    assert max(lengths) <= 30
    assert min(lengths) >= 0.2
    assert all(a.end <= b.start for a, b in pairwise(whole))
    frames = speech_frames(found(speech_dir, mode, samples, 30 * RATE), len(samples))
    outside = frames & ~speech_frames(whole, len(samples))
    assert outside.sum() <= len(whole), "but for the frames at edges, speech is in a segment"


def segments(
    speech_dir: Path, mode: VadMode, samples: NDArray[np.int16], step: int
) -> list[SpeechSpan]:
    detector = make_detector(mode, speech_dir / FSMN_FOLDER, 30.0)
    segmenter, levels = Segmenter(LIMITS), FrameLevels()
    cut: list[SpeechSpan] = []
    for at in range(0, len(samples), step):
        part = samples[at : at + step]
        cut += segmenter.push(detector.push(part), levels.push(part))
        assert at + len(part) - segmenter.needed_from <= 32 * RATE
    return cut + segmenter.finish(detector.finish(), np.empty(0, np.float32))
