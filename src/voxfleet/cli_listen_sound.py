"""The sound `voxfleet listen` plays: a file, or what comes from a pipe, as 16 kHz mono int16.

Knows no server. Waiting for a pipe can be ended at any time; what was read by then is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from voxfleet.audio.decode import open_audio
from voxfleet.audio.displayed_name import displayed_name
from voxfleet.audio.plausible import MAX_RATE_HZ, MIN_RATE_HZ
from voxfleet.cli_listen_pcm import STDIN, PipeSound
from voxfleet.core import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ
from voxfleet.errors import UsageError

#: so much is sent at once when it is played: what a microphone's driver gives
PIECE_S = 0.04
_PIECE_SAMPLES = round(PIECE_S * SAMPLE_RATE_HZ)
PIECE_BYTES = _PIECE_SAMPLES * BYTES_PER_SAMPLE
#: of a pipe, at once; a live source gives less as soon as it has it
_BLOCK_BYTES = 1 << 16
#: read ahead of a server that is slower than the pipe
_BLOCKS_AHEAD = 8


def regular_file(name: str) -> Path:
    """The path that a word on the command line means; raises UsageError saying what is wrong."""
    path, shown = Path(name), displayed_name(name)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UsageError(f"{shown}: no such file") from None
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "no file has such a name"
        raise UsageError(f"{shown}: cannot be read: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{shown}: not a file; send a pipe to standard input and name it -")
    return path


class Sound(Protocol):
    """Where the sound comes from. `is_live` sound comes at its own pace."""

    is_live: bool
    warnings: Sequence[str]

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Once, in order; raises VoxfleetError when no more can be had."""
        ...

    def stop(self) -> None:
        """Bring `pieces` to an end: what was read by then is given."""
        ...


class FileSound:
    """A file of any kind, decoded as it is wanted, in pieces of PIECE_S."""

    is_live = False

    def __init__(self, name: str) -> None:
        """Raises UsageError where there is no such file."""
        self._path = regular_file(name)
        self._stopped = False
        self.warnings: Sequence[str] = ()

    def stop(self) -> None:
        self._stopped = True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        opened = await asyncio.to_thread(open_audio, self._path, str(self._path))
        with closing(opened) as stream:
            self.warnings = stream.warnings
            while len(block := await asyncio.to_thread(stream.read, SAMPLE_RATE_HZ)):
                sound = block.astype("<i2", copy=False).tobytes()
                for start in range(0, len(sound), PIECE_BYTES):
                    if self._stopped:
                        return
                    yield sound[start : start + PIECE_BYTES]


class StandardInput:
    """Standard input, read by a thread: nothing else can wait for every kind of it."""

    is_live = True
    warnings: Sequence[str] = ()

    def __init__(self, sample_rate_hz: int) -> None:
        """Raises UsageError where nothing can come."""
        if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
            raise UsageError(
                f"--rate {sample_rate_hz}: no rate of sound; name one of {MIN_RATE_HZ} to"
                f" {MAX_RATE_HZ} Hz, such as 16000"
            )
        if sys.stdin is None:
            raise UsageError(f"{STDIN} is closed; name a file or send sound by a pipe")
        if sys.stdin.isatty():
            raise UsageError(
                f"{STDIN} is a terminal; name a file, or send sound by a pipe:"
                " arecord -f S16_LE -r 16000 -t raw | voxfleet listen -"
            )
        self._sound = PipeSound(sample_rate_hz)
        self._blocks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._room = threading.Semaphore(_BLOCKS_AHEAD)

    def stop(self) -> None:
        """What was read is given, and then an end."""
        self._blocks.put_nowait(b"")

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """As it comes; raises UsageError when it cannot be read."""
        self._start()
        while block := await self._blocks.get():
            if isinstance(block, OSError):
                raise UsageError(f"{STDIN} cannot be read: {block.strerror}") from block
            self._room.release()
            if piece := self._sound.push(block):
                yield piece
        if rest := self._sound.finish():
            yield rest

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        # a daemon, for nothing can wake a thread that waits for a silent pipe
        threading.Thread(target=self._read, args=(loop,), name=STDIN, daemon=True).start()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        block: bytes | OSError = b"more"
        # raised where the loop has closed meanwhile: then nobody waits
        with contextlib.suppress(RuntimeError):
            while block and not isinstance(block, OSError):
                self._room.acquire()
                block = _next_block()
                loop.call_soon_threadsafe(self._blocks.put_nowait, block)


def _next_block() -> bytes | OSError:
    try:
        # the descriptor itself: sys.stdin's lock, held by a waiting thread, would block our exit
        return os.read(0, _BLOCK_BYTES)
    except OSError as fault:
        return fault


def open_sound(word: str, sample_rate_hz: int) -> Sound:
    """The sound that a word on the command line means; raises UsageError for none."""
    return StandardInput(sample_rate_hz) if word == "-" else FileSound(word)
