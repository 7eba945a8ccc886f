"""`voxfleet listen` in a process of its own, for tests, and 2.5 s of sound for it to play."""

from __future__ import annotations

import asyncio
import os
import sys
import wave
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COMMAND = [sys.executable, "-m", "voxfleet.cli", "listen"]
LIMIT_S = 30
SAMPLES = np.random.default_rng(1).integers(-9_000, 9_000, 40_000, np.int16)
RAW = SAMPLES.astype("<i2").tobytes()
#: 2.5 s: two utterances, and one that the last commit ends
TEXT = "Utterance 1.\nUtterance 2.\nUtterance 3.\n"
KEYS = ("VOXFLEET_API_KEY", "OPENAI_API_KEY")


def write_recording(path: Path) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(RAW)
    return str(path)


@dataclass(frozen=True, slots=True)
class Done:
    state: int | None
    out: str
    err: str


@asynccontextmanager
async def started(
    *words: str, stdout: int = asyncio.subprocess.PIPE, variables: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in KEYS}
        | dict(variables or {}),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def listen(*words: str, stdin: bytes = b"", **extra: str) -> Done:
    async with started(*words, variables=extra) as process, asyncio.timeout(LIMIT_S):
        out, err = await process.communicate(stdin)
    return Done(process.returncode, out.decode(), err.decode())


async def until(reached: Callable[[], bool]) -> None:
    while not reached():
        await asyncio.sleep(0.01)
