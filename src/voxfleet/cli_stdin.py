"""Standard input kept in a file, since not every sound format can be read as a stream.

Knows nothing of sound. Waiting for input can be cancelled at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from pathlib import Path

from voxfleet.errors import UsageError

_BLOCK_BYTES = 1 << 20


async def keep_standard_input(place: Path) -> None:
    """Copy all of standard input to a file; raises UsageError when it cannot be kept."""
    if sys.stdin is None:
        # its descriptor may be anybody's by now
        raise UsageError("standard input is closed; name a file or send one by a pipe")
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(fault: OSError | None) -> None:
        if done.cancelled():
            return
        if fault is None:
            done.set_result(None)
        else:
            done.set_exception(fault)

    def work() -> None:
        fault: OSError | None = None
        try:
            _copy(place)
        except OSError as error:
            fault = error
        with contextlib.suppress(RuntimeError):
            # raised where the loop has closed meanwhile: then nobody waits
            loop.call_soon_threadsafe(tell, fault)

    # a daemon, for nothing can wake a thread that waits for a terminal or a silent pipe
    threading.Thread(target=work, name="standard input", daemon=True).start()
    try:
        await done
    except OSError as fault:
        raise UsageError(f"standard input cannot be read and kept: {fault.strerror}") from fault


def _copy(place: Path) -> None:
    # the descriptor itself: sys.stdin's lock, held by a waiting thread, would block our exit
    with place.open("wb") as kept:
        while block := os.read(0, _BLOCK_BYTES):
            kept.write(block)
