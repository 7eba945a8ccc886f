"""Who is let in, by what waits at the quickest model; and which model a name means."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.unit.hand_pool import HandPool
from voxfleet.core import EngineInfo
from voxfleet.errors import NotFoundError, NotReadyError, OverloadError
from voxfleet.pool_contract import PoolSnapshot, WorkerSnapshot, WorkerState
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.front_desk import FrontDesk, QueueLimits
from voxfleet.transcribe.served_model import ModelList, ServedModel


class ModelPool(HandPool):
    """Workers of one model, as fast as the test says; `loaded` False is still loading."""

    def __init__(self, name: str, rate: float | None, workers: int = 1) -> None:
        super().__init__()
        self.name = name
        self.rate = rate
        self.workers = workers
        self.loaded = True

    @property
    def info(self) -> EngineInfo:  # type: ignore[override]
        if not self.loaded:
            raise NotReadyError("loading")
        return EngineInfo(self.name, ("en",), 10.0, aliases=(f"{self.name}-alias",))

    def snapshot(self) -> PoolSnapshot:
        row = WorkerSnapshot("w", self.name, "cpu", 1, WorkerState.READY, 0, False)
        return PoolSnapshot(self.name, (row,) * self.workers, self.rate)


class WaitingDispatcher(Dispatcher):
    """So much sound waits."""

    def __init__(self, pool: ModelPool, waiting_s: float) -> None:
        super().__init__(pool)
        self.sound_s = waiting_s

    @property
    def waiting_s(self) -> float:
        return self.sound_s


def model(name: str, rate: float | None, waiting_s: float = 0.0, workers: int = 1) -> ServedModel:
    pool = ModelPool(name, rate, workers)
    return ServedModel(pool, WaitingDispatcher(pool, waiting_s))


def places(desk: FrontDesk, most: int = 100) -> int:
    """How many are let in, one after the other."""
    with ExitStack() as inside:
        for number in range(most):
            try:
                inside.enter_context(desk.admitted())
            except OverloadError:
                return number
    return most


LIMITS = QueueLimits(max_waiting=2, max_wait_s=30.0, max_requests=50)


@pytest.mark.parametrize(
    ("models", "let_in"),
    [
        # nothing is measured: one for each worker, and two more
        ([model("a", None, 1000.0)], 3),
        ([model("a", None, workers=4)], 6),
        # 20 s of waiting are few, 100 s too many
        ([model("a", 10.0, 200.0)], 50),
        ([model("a", 10.0, 1000.0)], 3),
        # the quickest decides, and places are the server's
        ([model("a", 10.0, 1000.0), model("b", 10.0, 0.0)], 50),
        ([model("a", None), model("b", None)], 4),
    ],
)
def test_who_is_let_in(models: list[ServedModel], let_in: int) -> None:
    assert places(FrontDesk(ModelList(models), LIMITS)) == let_in


def test_requests_that_have_not_brought_their_sound_yet_count_as_the_usual_amount() -> None:
    desk = FrontDesk(ModelList([model("a", 10.0)]), LIMITS)
    assert places(desk) == 50
    desk.finished(100.0)
    # three always; then each is expected to bring 10 s of work
    assert places(desk) == 4
    with ExitStack() as inside:
        for _ in range(4):
            inside.enter_context(desk.admitted())
            inside.enter_context(desk.sound_arrives())
        # what is there is seen in the queue, which is empty
        inside.enter_context(desk.admitted())
        assert desk.requests == 5
    assert desk.requests == 0


def test_while_the_model_loads_the_request_itself_is_told() -> None:
    served = model("a", None)
    assert isinstance(served.pool, ModelPool)
    served.pool.loaded = False
    assert places(FrontDesk(ModelList([served]), LIMITS)) == 100


def test_models_are_found_by_name_and_alias_and_the_first_is_the_default() -> None:
    first, second = model("a", None), model("b", None)
    models = ModelList([first, second])
    assert models.find(None) is models.find("") is models.find("a-alias") is first
    assert models.find("b") is models.find("b-alias") is second
    with pytest.raises(NotFoundError, match="'c' is not served here; this server has 'a', 'b'"):
        models.find("c")


def test_a_model_that_still_loads_cannot_be_named() -> None:
    first, second = model("a", None), model("b", None)
    assert isinstance(second.pool, ModelPool)
    second.pool.loaded = False
    models = ModelList([first, second])
    assert [info.model for info in models.infos()] == ["a"]
    with pytest.raises(NotFoundError):
        models.find("b")
    with pytest.raises(NotReadyError):
        ModelList().find(None)


def test_why_a_model_cannot_answer() -> None:
    served = model("a", None)
    assert "not been started" in served.reason()
    load = served.load(3, 20.0)
    assert (load.requests, load.waiting_s, load.rate, load.measured) == (3, 20.0, 10.0, False)
