"""The main of a media process: decodes and cuts the files it is given, taking turns between them.

`python -m voxfleet.media.media_process ADDRESS NAME TURN_FILE SETTINGS_JSON`. Knows no client and
no model. TURN_FILE always holds the id of the file being worked on, so that whoever finds this
process dead knows which one killed it: a message could still have been on its way.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxfleet.audio.detectors import make_detector
from voxfleet.core import SAMPLE_RATE_HZ, VadMode
from voxfleet.errors import AudioError, CancelledError, VoxfleetError
from voxfleet.media.file_cutter import FileCutter
from voxfleet.media.file_memory import FileMemory
from voxfleet.media.media_settings import MediaSettings, from_json
from voxfleet.media.media_turns import Turns
from voxfleet.media.turn_file import TurnFile
from voxfleet.media.watched_child import START_FAILED_STATUS
from voxfleet.wire.channel import Dial
from voxfleet.wire.child_process import die_with_parent
from voxfleet.wire.messages import (
    CloseFile,
    Failure,
    FileFailed,
    FromChild,
    Granted,
    MediaReady,
    OpenFile,
    SliceBegun,
    SliceEnded,
    StartFailed,
    Stop,
    ToChild,
)

_log = logging.getLogger(__name__)
_IDLE_WAIT_S = 5.0


class MediaProcess:
    """The loop: hear everything there is to hear, then work one turn."""

    def __init__(self, dial: Dial, turn_file: TurnFile, settings: MediaSettings) -> None:
        self._dial = dial
        self._turn_file = turn_file
        self._settings = settings
        self._turns = Turns()
        self._memory = FileMemory(settings.memory_limit_mb)
        self._cutters: dict[str, FileCutter] = {}
        #: what the gateway is told when the turn ends: each message by itself would wake it
        self._said: list[FromChild] = []
        self._stopping = False

    def run(self) -> None:
        while not self._stopping:
            message = self._dial.receive(_IDLE_WAIT_S if self._turns.idle else 0)
            if message is not None:
                self._hear(message)
                continue
            file_id = self._turns.take()
            if file_id is not None:
                self._work(file_id)
        for file_id in list(self._cutters):
            self._drop(file_id)

    def _tell(self) -> None:
        self._dial.send(*self._said)
        self._said.clear()

    def _hear(self, message: ToChild) -> None:
        match message:
            case OpenFile():
                cutter = FileCutter(message, self._settings, self._said.append)
                self._cutters[message.file_id] = cutter
                self._turns.add(message.file_id, message.work_class, message.window)
            case Granted(file_id=file_id, segments=segments):
                self._turns.change_room(file_id, segments)
            case CloseFile(file_id=file_id):
                self._close(file_id)
            case Stop():
                self._stopping = True
            case _:
                raise TypeError(f"a media process cannot take {type(message).__name__}")

    def _close(self, file_id: str) -> None:
        if file_id in self._cutters:
            # says that nothing more will be written for it
            self._fail(file_id, CancelledError(f"{self._cutters[file_id].name}: closed"))
            self._tell()

    def _work(self, file_id: str) -> None:
        self._turn_file.begin(file_id)
        self._said.append(SliceBegun(file_id))
        self._turn(file_id, self._cutters[file_id])
        self._turn_file.end()
        self._tell()

    def _turn(self, file_id: str, cutter: FileCutter) -> None:
        try:
            with self._memory.turn(file_id):
                delivered = cutter.work(self._turns.room(file_id))
        except (VoxfleetError, MemoryError) as fault:
            self._fail(file_id, self._named(cutter.name, fault))
        except Exception as fault:  # noqa: BLE001 - a decoder may raise anything; one file pays
            _log.exception("%s: unforeseen fault", cutter.name)
            text = f"{cutter.name}: decoding failed unexpectedly ({type(fault).__name__})"
            self._fail(file_id, VoxfleetError(f"{text}; the server's log says more"))
        else:
            self._turns.change_room(file_id, -delivered)
            self._said.append(SliceEnded(file_id, cutter.decoded_s))
            if cutter.finished:
                self._drop(file_id)

    def _named(self, name: str, fault: VoxfleetError | MemoryError) -> VoxfleetError:
        """The error for the client; what the decoder tells of memory does not know our limit."""
        if isinstance(fault, VoxfleetError) and not isinstance(fault.__cause__, MemoryError):
            return fault
        return AudioError(
            f"{name}: decoding needs more than the allowed {self._settings.memory_limit_mb} MB"
            " of memory; convert it to WAV or FLAC"
        )

    def _fail(self, file_id: str, fault: VoxfleetError) -> None:
        self._drop(file_id)
        failure = Failure(fault.code, fault.message, fault.param)
        self._said.append(FileFailed(file_id, failure))

    def _drop(self, file_id: str) -> None:
        self._turns.remove(file_id)
        self._memory.forget(file_id)
        self._cutters.pop(file_id).close()


def _warm_up(settings: MediaSettings) -> None:
    """Load what the first file would otherwise wait for; a broken model shows here."""
    detector = make_detector(VadMode.AUTO, settings.fsmn_dir, settings.max_segment_s)
    detector.push(np.zeros(SAMPLE_RATE_HZ, np.int16))
    detector.finish()


def main(arguments: Sequence[str]) -> int:
    die_with_parent()
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s media %(levelname)s %(message)s")
    address, name, turn_path, settings_json = arguments
    settings = from_json(settings_json)
    dial = Dial(address, name)
    try:
        _warm_up(settings)
        with TurnFile(Path(turn_path)) as turn_file:
            dial.send(MediaReady())
            MediaProcess(dial, turn_file, settings).run()
    except VoxfleetError as fault:
        dial.send(StartFailed(Failure(fault.code, fault.message, fault.param)))
        return START_FAILED_STATUS
    finally:
        dial.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
