"""How fast Paraformer reads on an NVIDIA GPU, from host PCM to text, beside what the card can do.

A full-size checkpoint with random weights computes what a trained one does. Measures; decides
nothing. The matrix rate is taken in the same run, as cards and clocks differ.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile

from scripts.make_random_checkpoint import write_random_checkpoint
from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.paraformer.loading import LoadedModel, load_recogniser
from voxfleet.paraformer.model_config import ParaformerConfig
from voxfleet.paraformer.recogniser import Recogniser, Utterance

Clips = list[NDArray[np.int16]]
SHORTEST_S, LONGEST_S = 2.0, 30.0
FRAME_S = 0.06
TOKENS_PER_S = 4.0


@dataclass(frozen=True)
class Measurement:
    """`busy` is the share of the time in which a kernel ran, None without a profile."""

    audio_s: float
    wall_s: float
    busy: float | None
    kernels: list[str]
    peak_mb: int

    @property
    def speed(self) -> float:
        return self.audio_s / self.wall_s


def main() -> None:
    options = parse_options()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("no NVIDIA GPU here; --device cpu --size tiny only tries the program itself")
    clips = corpus(options.minutes)
    seconds = sum(map(len, clips)) / SAMPLE_RATE_HZ
    print(f"{machine(device)}; {len(clips)} clips, {seconds:.0f} s")
    with tempfile.TemporaryDirectory() as folder:
        write_random_checkpoint(Path(folder), "seaco", options.size)
        for precision in options.precisions.split(","):
            measure_precision(Path(folder), precision, clips, options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--precisions", default="float16,bfloat16")
    parser.add_argument("--batches-s", default="30,120,600,1200", help="seconds in a batch")
    parser.add_argument("--minutes", type=float, default=60.0, help="of sound, in all")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hotwords", type=int, default=0, help="in the list of each clip")
    return parser.parse_args()


def machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{name}, PyTorch {torch.__version__}"


def corpus(minutes: float) -> Clips:
    """Real recordings, cut and repeated, or else noise that swells as speech does; 2 to 30 s."""
    folder = os.environ.get("VOXFLEET_SPEECH_DIR")
    source = recordings(Path(folder)) if folder else made_sound(600.0)
    draw = np.random.default_rng(0)
    clips: Clips = []
    while sum(map(len, clips)) < minutes * 60 * SAMPLE_RATE_HZ:
        length = round(draw.uniform(SHORTEST_S, LONGEST_S) * SAMPLE_RATE_HZ)
        start = int(draw.integers(0, max(1, len(source) - length)))
        clips.append(source[start : start + length])
    return clips


def recordings(folder: Path) -> NDArray[np.int16]:
    """All that are 16 kHz mono WAV, one after another."""
    found = []
    for path in sorted(folder.rglob("*.wav")):
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
        if rate == SAMPLE_RATE_HZ:
            found.append(samples[:, 0])
    if not found:
        sys.exit(f"{folder}: no WAV file of 16 kHz; unset VOXFLEET_SPEECH_DIR to use made sound")
    return np.concatenate(found)


def made_sound(seconds: float) -> NDArray[np.int16]:
    draw = np.random.default_rng(1)
    noise = draw.normal(0, 3000, round(seconds * SAMPLE_RATE_HZ))
    syllables = np.sin(np.arange(len(noise)) * (2 * np.pi * 4 / SAMPLE_RATE_HZ)) ** 2
    sound: NDArray[np.int16] = (noise * syllables).clip(-32768, 32767).astype(np.int16)
    return sound


def measure_precision(
    folder: Path, precision: str, clips: Clips, options: argparse.Namespace
) -> None:
    device = torch.device(options.device)
    began_s = time.perf_counter()
    model = load_recogniser(folder, options.device, precision, os.cpu_count() or 1)
    loaded_s = time.perf_counter()
    if model.batch_reader is not None:
        model.batch_reader.warm_up()
    warm_s = time.perf_counter()
    rate = matmul_rate(device, precision)
    print(
        f"\n{precision}: {model.memory_mb} MiB of weights, loaded in {loaded_s - began_s:.1f} s,"
        f" warmed up in {warm_s - loaded_s:.1f} s; dense products {rate / 1e12:.0f} TFLOPS"
    )
    print(f"{'batch':>8}{'x real time':>14}{'of the rate':>13}{'GPU busy':>10}{'peak':>12}")
    for batch_s in map(float, options.batches_s.split(",")):
        found = measure(model, list(batches(clips, batch_s, options.hotwords)), options.runs)
        share = found.speed * work_per_s(folder) / rate
        busy = "-" if found.busy is None else f"{found.busy:.0%}"
        print(f"{batch_s:6.0f} s{found.speed:14.0f}{share:13.0%}{busy:>10}{found.peak_mb:8} MiB")
    print("most time on the device, last batch size:")
    print("\n".join(found.kernels))


def batches(clips: Clips, batch_s: float, hotwords: int) -> Iterator[list[Utterance]]:
    words = tuple(f"{chr(0x4E00 + n)}{chr(0x4E01 + n)}" for n in range(hotwords))
    batch: list[Utterance] = []
    for clip in clips:
        batch.append(Utterance(clip, words))
        if sum(len(item.samples) for item in batch) >= batch_s * SAMPLE_RATE_HZ:
            yield batch
            batch = []
    if batch:
        yield batch


def measure(model: LoadedModel, work: Sequence[list[Utterance]], runs: int) -> Measurement:
    cuda = torch.cuda.is_available()
    # shapes that were not foreseen are captured when they come for the second time
    for _ in range(2):
        recognise_all(model.recogniser, work)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    walls_s = [recognise_all(model.recogniser, work) for _ in range(runs)]
    busy, kernels = (
        profiled(model.recogniser, work[: max(1, len(work) // 4)]) if cuda else (None, [])
    )
    peak_mb = torch.cuda.max_memory_reserved() >> 20 if cuda else 0
    audio_s = sum(len(item.samples) for batch in work for item in batch) / SAMPLE_RATE_HZ
    return Measurement(audio_s, sorted(walls_s)[runs // 2], busy, kernels, peak_mb)


def recognise_all(recogniser: Recogniser, work: Sequence[list[Utterance]]) -> float:
    began_s = time.perf_counter()
    for batch in work:
        recogniser.recognise(batch)
    return time.perf_counter() - began_s


def profiled(
    recogniser: Recogniser, work: Sequence[list[Utterance]]
) -> tuple[float | None, list[str]]:
    """What is not busy is launching, the host's own part, and gaps between kernels."""
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        wall_s = recognise_all(recogniser, work)
    rows = [row for row in trace.key_averages() if row.self_device_time_total > 0]
    rows.sort(key=lambda row: -row.self_device_time_total)
    total_us = sum(row.self_device_time_total for row in rows)
    if not total_us:
        return None, ["  the profiler saw no kernel"]
    lines = [
        f"  {row.self_device_time_total / total_us:5.1%} {row.count:7} x {row.key[:76]}"
        for row in rows[:10]
    ]
    return total_us / 1e6 / wall_s, lines


def matmul_rate(device: torch.device, precision: str, size: int = 8192) -> float:
    """Operations a second of a large product in the same precision."""
    size = size if device.type == "cuda" else 512
    dtype = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(precision, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times_s = []
    for _ in range(10):
        began_s = time.perf_counter()
        for _ in range(5):
            left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times_s.append((time.perf_counter() - began_s) / 5)
    return 2 * size**3 / min(times_s)


def work_per_s(folder: Path) -> float:
    """Operations that a second of sound needs in matrix products, none for padding."""
    from voxfleet.paraformer.checkpoint import read_checkpoint

    config: ParaformerConfig = read_checkpoint(folder).config
    encoder, decoder, size = config.encoder, config.decoder, config.encoder.size
    layer = 4 * size * size + 2 * size * encoder.linear_units
    per_frame = encoder.layers * layer + decoder.layers * 2 * size * size
    # before the decoder's memory a feed-forward, after it a query and a result
    token = 2 * size * decoder.linear_units + 2 * size * size
    per_token = (decoder.layers + 1) * token + size * config.vocabulary_size
    return 2 * (per_frame / FRAME_S + per_token * TOKENS_PER_S)


if __name__ == "__main__":
    main()
