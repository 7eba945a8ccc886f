"""How fast Paraformer is read on this machine's cores: FunASR, its exported int8 graph, and ours.

Same weights and same recordings, in one run: each side is a process of its own that waits while
another has the machine, round by round, so that a slow minute slows all. Needs FunASR and onnx
(`make bench-paraformer`). Measures; decides nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.make_random_checkpoint import write_random_checkpoint
from voxfleet.audio.decode import open_audio
from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.errors import VoxfleetError

SIDES = ("funasr", "onnx", "ours-float32", "ours-int8")
NAMES = {
    "funasr": "FunASR AutoModel",
    "onnx": "FunASR's int8 graph, alone",
    "ours-float32": "ours, float32",
    "ours-int8": "ours, int8",
}
TARGETS = {"funasr": 5.0, "onnx": 0.85}
SIDE_PROGRAM = Path(__file__).with_name("paraformer_side.py")
EXPORT = """
import functools, sys, torch
torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)
from funasr import AutoModel
model = AutoModel(model=sys.argv[1], device="cpu", disable_update=True, disable_pbar=True)
model.export(type="onnx", quantize=True, output_dir=sys.argv[1] + "/onnx")
"""


@dataclass
class Side:
    """A running process, what loading cost it, and the seconds of each round."""

    process: subprocess.Popen[str]
    load_s: float = 0.0
    peak_mb: float = 0.0
    rounds_s: list[float] = field(default_factory=list)

    def hear(self) -> dict[str, float]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"a side ended early, with status {self.process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def run(self) -> None:
        if self.process.stdin is None:
            raise SystemExit("a side has no input")
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.rounds_s.append(self.hear()["took_s"])


def corpus(folder: Path, limit_s: float) -> list[NDArray[np.int16]]:
    """Recordings of 2 to 30 seconds, evenly drawn from the sorted list: about `limit_s` in all."""
    found = [
        clip for path in sorted(folder.rglob("*.wav")) if (clip := read_clip(path)) is not None
    ]
    total_s = sum(map(len, found)) / SAMPLE_RATE_HZ
    return found[:: max(1, round(total_s / limit_s))]


def read_clip(path: Path) -> NDArray[np.int16] | None:
    """None where it cannot be read or is no recording of a length that a server would send."""
    try:
        with open_audio(path, path.name) as stream:
            samples = stream.read(31 * SAMPLE_RATE_HZ)[:, 0]
    except VoxfleetError:
        return None
    return samples.copy() if 2 <= len(samples) / SAMPLE_RATE_HZ <= 30 else None


def start(name: str, folder: Path, clips: Path) -> Side:
    command = [sys.executable, str(SIDE_PROGRAM), name, str(folder), str(clips)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    side = Side(process)
    loaded = side.hear()
    side.load_s, side.peak_mb = loaded["load_s"], loaded["peak_mb"]
    return side


def measure(folder: Path, clips: Path, names: list[str], rounds: int) -> dict[str, Side]:
    sides = {name: start(name, folder, clips) for name in names}
    try:
        for _ in range(rounds):
            for side in sides.values():
                side.run()
    finally:
        for side in sides.values():
            side.process.kill()
            side.process.wait()
    return sides


def report(sides: dict[str, Side], audio_s: float, weights_mb: float) -> None:
    best = {name: audio_s / min(side.rounds_s) for name, side in sides.items()}
    print(f"{'':28}{'x real time':>12}{'median':>9}{'load':>8}{'peak memory':>16}")
    for name, side in sides.items():
        median = audio_s / statistics.median(side.rounds_s)
        peak = f"{side.peak_mb:.0f} MB, {side.peak_mb / weights_mb:.2f}x"
        print(f"{NAMES[name]:28}{best[name]:12.1f}{median:9.1f}{side.load_s:7.1f}s{peak:>16}")
    for name, target in TARGETS.items():
        if name in best:
            ratio = statistics.median(
                theirs / ours
                for theirs, ours in zip(
                    sides[name].rounds_s, sides["ours-int8"].rounds_s, strict=True
                )
            )
            print(f"ours, int8 / {NAMES[name]}: {ratio:.2f} (goal {target})")


def main() -> None:
    options = parse_options()
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory(prefix="voxfleet-bench-") as scratch:
        folder = Path(options.work or scratch)
        prepare(folder, options.architecture, options.speech)
        found = corpus(options.speech / "audio", options.seconds)
        clips = Path(scratch) / "corpus.npz"
        np.savez(clips, *found)
        audio_s = sum(map(len, found)) / SAMPLE_RATE_HZ
        names = [name for name in SIDES if name != "onnx" or (folder / "onnx").is_dir()]
        print(f"{options.architecture}, full size; {len(found)} recordings, {audio_s:.0f} s\n")
        sides = measure(folder, clips, names, options.rounds)
        report(sides, audio_s, (folder / "model.pt").stat().st_size / 2**20)


def prepare(folder: Path, architecture: str, speech: Path) -> None:
    """The random checkpoint and FunASR's export of it, unless an earlier run left them."""
    models = speech / "models" / "seaco-paraformer-config"
    if not (folder / "model.pt").is_file():
        write_random_checkpoint(
            folder, architecture, "full", tokens=models / "tokens.json", cmvn=models / "am.mvn"
        )
    if architecture == "paraformer" and not (folder / "onnx").is_dir():
        print("exporting FunASR's graph; this takes two minutes", flush=True)
        subprocess.run([sys.executable, "-c", EXPORT, str(folder)], check=True, capture_output=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--architecture", choices=("paraformer", "bicif", "seaco"), default="paraformer"
    )
    parser.add_argument("--seconds", type=float, default=150.0, help="of recordings, about")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, help="folder to keep the checkpoint in")
    parser.add_argument("--speech", type=Path, default=os.environ.get("VOXFLEET_SPEECH_DIR"))
    options = parser.parse_args()
    if options.speech is None or not options.speech.is_dir():
        parser.error("name the folder of recordings: --speech or VOXFLEET_SPEECH_DIR")
    return options


if __name__ == "__main__":
    main()
