"""The main of the live process: hears the streams it is given, as their sound comes.

`python -m voxfleet.media.live_process ADDRESS NAME SETTINGS_JSON`. Knows no client and no model of
speech recognition.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxfleet.audio.detectors import make_live_detector
from voxfleet.audio.speech import SpeechDetector
from voxfleet.core import SAMPLE_RATE_HZ, VadMode
from voxfleet.errors import VoxfleetError
from voxfleet.media.live_ear import LiveEar
from voxfleet.media.live_settings import LiveHostSettings, from_json
from voxfleet.media.spool import write_sound
from voxfleet.media.watched_child import START_FAILED_STATUS
from voxfleet.wire.channel import Dial
from voxfleet.wire.child_process import die_with_parent
from voxfleet.wire.live_messages import (
    LiveClose,
    LiveCut,
    LiveDetect,
    LiveFailed,
    LiveOpen,
    LivePiece,
    LivePieceFailed,
    LiveReady,
    LiveSound,
)
from voxfleet.wire.messages import Failure, FromChild, StartFailed, Stop, ToChild

_log = logging.getLogger(__name__)
#: answers gather for so long where there is much to hear: each by itself would wake the gateway
_TELL_EVERY_S = 0.01

StreamOrder = LiveOpen | LiveSound | LiveDetect | LiveCut | LiveClose


class LiveProcess:
    """The loop: take everything that has come, then do it in order."""

    def __init__(self, dial: Dial, settings: LiveHostSettings) -> None:
        self._dial = dial
        self._settings = settings
        self._ears: dict[str, LiveEar] = {}
        self._said: list[FromChild] = []
        self._told_at = time.monotonic()

    def run(self) -> None:
        while True:
            for message in self._come():
                if isinstance(message, Stop):
                    return
                self._do(message)
                if time.monotonic() - self._told_at >= _TELL_EVERY_S:
                    self._tell()
            self._tell()

    def _come(self) -> list[ToChild]:
        message = self._dial.receive()
        self._told_at = time.monotonic()
        come: list[ToChild] = []
        while message is not None:
            come.append(message)
            message = self._dial.receive(0)
        return come

    def _tell(self) -> None:
        self._dial.send(*self._said)
        self._said.clear()
        self._told_at = time.monotonic()

    def _do(self, message: ToChild) -> None:
        if not isinstance(message, StreamOrder):
            raise TypeError(f"the live process cannot take {type(message).__name__}")
        stream_id = message.stream_id
        try:
            self._do_for_stream(message)
        except VoxfleetError as fault:
            self._fail(stream_id, fault)
        except Exception as fault:  # noqa: BLE001 - whatever one stream meets, the others go on
            _log.exception("%s: unforeseen fault", stream_id)
            name = type(fault).__name__
            self._fail(
                stream_id,
                VoxfleetError(
                    f"live sound could not be heard ({name}); the server's log says more"
                ),
            )

    def _do_for_stream(self, message: StreamOrder) -> None:
        if isinstance(message, LiveOpen):
            self._ears[message.stream_id] = LiveEar(message, self._detector)
            return
        ear = self._ears.get(message.stream_id)
        if ear is None:
            # it has failed, and the gateway did not know yet
            return
        match message:
            case LiveSound():
                self._said.append(ear.hear(message))
            case LiveDetect(vad=vad, threshold=threshold):
                self._said.append(ear.detect(vad, threshold))
            case LiveCut():
                self._cut(ear, message)
            case LiveClose(stream_id=stream_id):
                del self._ears[stream_id]

    def _cut(self, ear: LiveEar, order: LiveCut) -> None:
        try:
            piece = ear.cut(order)
            digest = write_sound(Path(order.path), piece.sound, "live sound")
        except VoxfleetError as fault:
            failure = Failure(fault.code, fault.message, fault.param)
            self._said.append(LivePieceFailed(order.stream_id, order.index, failure))
        except OSError as fault:
            # this piece is lost; the next may be written
            message = f"live sound could not be written ({fault.strerror}); see data_dir"
            failure = Failure(VoxfleetError.code, message, None)
            self._said.append(LivePieceFailed(order.stream_id, order.index, failure))
        else:
            self._said.append(
                LivePiece(order.stream_id, order.index, piece.start, piece.sample_count, digest)
            )

    def _detector(self, vad: VadMode, threshold: float) -> SpeechDetector:
        return make_live_detector(vad, self._settings.fsmn_dir, threshold)

    def _fail(self, stream_id: str, fault: VoxfleetError) -> None:
        self._ears.pop(stream_id, None)
        self._said.append(LiveFailed(stream_id, Failure(fault.code, fault.message, fault.param)))


def _warm_up(settings: LiveHostSettings) -> None:
    """Load what the first stream would otherwise wait for."""
    detector = make_live_detector(VadMode.AUTO, settings.fsmn_dir, 0.5)
    detector.push(np.zeros(SAMPLE_RATE_HZ // 10, np.int16))


def main(arguments: Sequence[str]) -> int:
    die_with_parent()
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s live %(levelname)s %(message)s")
    address, name, settings_json = arguments
    settings = from_json(settings_json)
    dial = Dial(address, name)
    try:
        _warm_up(settings)
        dial.send(LiveReady())
        LiveProcess(dial, settings).run()
    except VoxfleetError as fault:
        dial.send(StartFailed(Failure(fault.code, fault.message, fault.param)))
        return START_FAILED_STATUS
    finally:
        dial.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
