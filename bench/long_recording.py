"""Measures one very long recording: the memory of all processes, and how long a short file waits.

Writes a wav of so many hours made of a shorter recording, decodes and recognises it with the model
`fake`, and every few seconds lets a short recording be decoded beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import wave
from pathlib import Path

import psutil

import voxfleet
from voxfleet.assemble import open_service
from voxfleet.config_sources import load_settings
from voxfleet.core import WorkClass
from voxfleet.transcribe.transcribe_request import TranscribeRequest
from voxfleet.transcribe.transcription_service import TranscriptionService

CLIP = Path(voxfleet.__file__).with_name("samples") / "hello.wav"
ASK_EVERY_S = 2.0


def write_long(path: Path, hours: float) -> None:
    with wave.open(str(CLIP)) as clip, wave.open(str(path), "w") as long:
        parameters = clip.getparams()
        sound = clip.readframes(parameters.nframes)
        long.setparams(parameters)
        for _ in range(round(hours * 3600 * parameters.framerate / parameters.nframes)):
            long.writeframesraw(sound)


def tree_mb() -> float:
    me = psutil.Process()
    return sum(p.memory_info().rss for p in (me, *me.children(recursive=True))) / 1e6


async def wait_of_short(service: TranscriptionService) -> float:
    begun_s = time.perf_counter()
    await service.transcribe(TranscribeRequest(CLIP, CLIP.name))
    return time.perf_counter() - begun_s


async def measure(path: Path) -> None:
    settings = load_settings({"model": "fake"}, {})
    async with open_service(settings) as (service, _):
        alone_s = await wait_of_short(service)
        wanted = TranscribeRequest(path, path.name, work_class=WorkClass.BATCH)
        begun_s = time.perf_counter()
        long = asyncio.create_task(service.transcribe(wanted))
        peak_mb, waits_s = 0.0, [alone_s]
        while not long.done():
            waits_s.append(await wait_of_short(service))
            peak_mb = max(peak_mb, tree_mb())
            await asyncio.wait({long}, timeout=ASK_EVERY_S)
        done = await long
    took_s = time.perf_counter() - begun_s
    print(f"{done.duration_s / 3600:.1f} hours in {took_s:.0f} s, {done.duration_s / took_s:.0f} x")
    print(f"peak memory of all processes {peak_mb:.0f} MB")
    print(f"short recording alone {alone_s:.2f} s, beside it at most {max(waits_s):.2f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        write_long(path, options.hours)
        asyncio.run(measure(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
