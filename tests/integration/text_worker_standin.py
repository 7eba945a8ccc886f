"""A text worker whose engine does what its texts say; started as a process by tests.

"die": ends its process. "hang": never answers. "hold": says so in a file, and waits for another.
Anything else is answered in capitals.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from voxfleet.errors import RecognitionError
from voxfleet.text_worker import TextServant
from voxfleet.worker_process import run_worker

FOLDER_VARIABLE = "TEXT_STANDIN_DIR"


class StandInEngine:
    def __init__(self) -> None:
        self._folder = Path(os.environ[FOLDER_VARIABLE])

    def load(self) -> None: ...
    def warm_up(self) -> None: ...

    def process(self, batch: Sequence[str]) -> list[str | RecognitionError]:
        with (self._folder / "batches").open("a") as log:
            log.write(",".join(batch) + "\n")
        return [self._answer(text) for text in batch]

    def _answer(self, text: str) -> str:
        if text == "die":
            os._exit(70)
        if text == "hang":
            time.sleep(600)
        if text == "hold":
            (self._folder / "holding").touch()
            while not (self._folder / "released").exists():
                time.sleep(0.01)
        return text.upper()


if __name__ == "__main__":
    sys.exit(run_worker(sys.argv[1:], lambda *_: TextServant({"itn": StandInEngine()})))
