"""How often what is heard of a live stream is worth telling. Pure."""

from __future__ import annotations

from voxfleet.audio.speech import SpeechUpdate
from voxfleet.core import SAMPLE_RATE_HZ

_SPEAKING_S = 0.096
_SILENT_S = 0.5
#: in the pause after speech somebody waits for its end to the millisecond; later less and less
_PAUSES_S = ((3.0, 0.0), (10.0, 0.096))


class NewsPace:
    """Changes are told at once; else it depends on how long ago there was speech."""

    def __init__(self, position: int) -> None:
        self._told_at = position
        self._open = False
        self._spoken_until: int | None = None

    def due(self, position: int, update: SpeechUpdate) -> bool:
        """Whether this is to be told; if so, it counts as told."""
        is_open = update.open_since is not None
        changed = bool(update.spans) or is_open != self._open
        if update.spans:
            self._spoken_until = update.spans[-1].end
        waited_s = (position - self._told_at) / SAMPLE_RATE_HZ
        if not changed and (not waited_s or waited_s < self._least_s(position, is_open)):
            return False
        self._told_at, self._open = position, is_open
        return True

    def _least_s(self, position: int, is_open: bool) -> float:
        if is_open:
            return _SPEAKING_S
        if self._spoken_until is None:
            return _SILENT_S
        pause_s = (position - self._spoken_until) / SAMPLE_RATE_HZ
        return next((every for until, every in _PAUSES_S if pause_s < until), _SILENT_S)
