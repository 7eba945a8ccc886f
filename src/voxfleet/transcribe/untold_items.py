"""What is remembered of a session's utterances until they are told: how they are to be read, and
since when they are complete. Pure.
"""

from __future__ import annotations

from voxfleet.transcribe.session_contract import SessionOptions


class UntoldItems:
    def __init__(self) -> None:
        self._asked_as: dict[int, SessionOptions] = {}
        self._committed_s: dict[int, float] = {}

    def __len__(self) -> int:
        return len({*self._asked_as, *self._committed_s})

    def asked(self, item: int, options: SessionOptions) -> None:
        """What held when its first reading was asked: what is changed later is for later ones."""
        self._asked_as.setdefault(item, options)

    def options(self, item: int) -> SessionOptions | None:
        """None for one of which nothing was read."""
        return self._asked_as.get(item)

    def committed(self, item: int, now_s: float) -> None:
        self._committed_s[item] = now_s

    def waited_s(self, item: int, now_s: float) -> float:
        return now_s - self._committed_s.get(item, now_s)

    def told(self, last: int) -> None:
        """They end in their order; of what failed or was cleared nothing else would be dropped."""
        for kept in (self._asked_as, self._committed_s):
            for item in [item for item in kept if item <= last]:
                del kept[item]
