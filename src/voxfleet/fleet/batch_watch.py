"""A batch on its way through a worker: who waits for its answer, and whether it still gets on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from voxfleet.errors import VoxfleetError
from voxfleet.fleet.pace_meter import BatchLimit
from voxfleet.pool_contract import BatchResult


@dataclass(slots=True)
class BatchWatch:
    """`limit` is how long it may go without progress; `blamed` says whether the batch would be at
    fault if the worker died now.
    """

    answer: asyncio.Future[BatchResult]
    limit: BatchLimit
    blamed: bool = True
    still_s: float = 0.0
    given_up: bool = False

    def progress(self) -> None:
        self.still_s = 0.0

    def exceeded(self, elapsed_s: float) -> bool:
        """Time passes; True once, when it has stood still for too long."""
        self.still_s += elapsed_s
        if self.given_up or self.still_s <= self.limit.limit_s:
            return False
        self.given_up = True
        return True

    def end(self, outcome: BatchResult | VoxfleetError) -> None:
        # whoever asked may have gone
        if self.answer.done():
            return
        if isinstance(outcome, BatchResult):
            self.answer.set_result(outcome)
        else:
            self.answer.set_exception(outcome)
