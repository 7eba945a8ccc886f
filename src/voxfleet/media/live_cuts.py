"""Pieces of a live stream's sound that were asked for, until they lie in files.

Knows neither the stream nor the process that writes them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from voxfleet.core import SAMPLE_RATE_HZ, SpooledSegment
from voxfleet.errors import VoxfleetError, rebuild
from voxfleet.wire.live_messages import LiveCut, LivePiece, LivePieceFailed


@dataclass(slots=True)
class _Cut:
    order: LiveCut
    piece: asyncio.Future[SpooledSegment]
    asked: bool = False


class LiveCuts:
    def __init__(self, stream_id: str, folder: Path) -> None:
        self._stream_id = stream_id
        self._folder = folder
        self._count = 0
        self._open: dict[int, _Cut] = {}

    def order(self, start: int, end: int, quiet_from: int | None) -> asyncio.Future[SpooledSegment]:
        index, self._count = self._count, self._count + 1
        path = str(self._folder / f"{index}.pcm")
        piece = asyncio.get_running_loop().create_future()
        cut = LiveCut(self._stream_id, index, start, end, quiet_from, path)
        self._open[index] = _Cut(cut, piece)
        return piece

    def due(self, heard: int) -> list[LiveCut]:
        """What is now to be asked of a process that has heard so far."""
        due = [cut for cut in self._open.values() if not cut.asked and cut.order.end <= heard]
        for cut in due:
            cut.asked = True
        return [cut.order for cut in due]

    @property
    def asked(self) -> bool:
        """A process owes one."""
        return any(cut.asked for cut in self._open.values())

    def ask_again(self) -> None:
        """The process that was asked is gone."""
        for cut in self._open.values():
            cut.asked = False

    def settle(self, answer: LivePiece | LivePieceFailed) -> None:
        cut = self._open.pop(answer.index, None)
        if cut is None:
            return
        if isinstance(answer, LivePieceFailed):
            failure = answer.failure
            _fail(cut, rebuild(failure.code, failure.message, failure.param))
        elif cut.piece.done():
            # whoever asked is gone
            Path(cut.order.path).unlink(missing_ok=True)
        else:
            cut.piece.set_result(_segment(cut.order, answer))

    def fail(self, error: VoxfleetError) -> None:
        for cut in self._open.values():
            _fail(cut, error)


async def taken(piece: asyncio.Future[SpooledSegment]) -> SpooledSegment:
    """The piece, when it is there; its file goes where its taker has gone at that moment."""
    try:
        return await piece
    except asyncio.CancelledError:
        if piece.done() and not piece.cancelled() and piece.exception() is None:
            piece.result().path.unlink(missing_ok=True)
        raise


def _fail(cut: _Cut, error: VoxfleetError) -> None:
    if not cut.piece.done():
        cut.piece.set_exception(error)


def _segment(order: LiveCut, piece: LivePiece) -> SpooledSegment:
    return SpooledSegment(
        f"{order.stream_id}-{order.index}",
        Path(order.path),
        piece.start / SAMPLE_RATE_HZ,
        piece.sample_count,
        digest=piece.digest,
    )
