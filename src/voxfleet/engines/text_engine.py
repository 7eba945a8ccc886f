"""The one interface a text engine has: punctuation, number formatting. Knows no sound.

Also knows nothing of transport, queues, processes or asyncio.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from voxfleet.errors import RecognitionError


class TextEngine(Protocol):
    """Loaded once, warmed up once, then asked for batches by one thread of one process."""

    def load(self) -> None:
        """Read what it needs; raises StartError naming what is missing."""
        ...

    def warm_up(self) -> None:
        """Run once on a realistic text, so that the first request is not the slow one."""
        ...

    def process(self, batch: Sequence[str]) -> list[str | RecognitionError]:
        """One answer per text, in order; no answer depends on the text's neighbours."""
        ...
