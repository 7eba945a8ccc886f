"""Which worker runs where: its device, its share of memory and cores; or why so many do not fit.

Pure: what the machine has is an argument. A worker that runs is never moved. Knows no process.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from voxfleet.errors import PlanError
from voxfleet.fleet.card_names import (
    Place,
    cpu_place,
    places_named,
    visible_cards,
    why_no_cards,
)
from voxfleet.fleet.core_shares import CoreShare, CoreWish, share_out
from voxfleet.fleet.memory_board import MemoryBoard
from voxfleet.pool_contract import GpuSnapshot

#: beyond it a pool makes no sense on one machine
MOST_INSTANCES = 256
#: a limit of nothing would be none at all
_LEAST_FRACTION = 0.001


@dataclass(frozen=True, slots=True)
class PoolPlanInput:
    """What a pool asks for.

    `need_mb` is what one instance needs on its device, 0 where nobody knows; `context_mb` the part
    of it that a limit on the engine's own memory does not count. `max_instances` is how far it may
    grow (0: not at all), `cores` the cores it names.
    """

    name: str
    devices: tuple[str, ...] = ("cpu",)
    instances: int = 1
    need_mb: int = 0
    context_mb: int = 0
    max_instances: int = 0
    cores: tuple[int, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is, without what our own workers take.

    `visible` is our own CUDA_VISIBLE_DEVICES. Where others run on the same cores (`own_cores`
    False), workers are not pinned to any. `free_cpu_mb` 0 is unknown.
    """

    gpus: tuple[GpuSnapshot, ...] = ()
    cores: tuple[int, ...] = (0,)
    free_cpu_mb: int = 0
    visible: str | None = None
    reserve_mb: int = 0
    own_cores: bool = True

    def with_back(self, workers: Sequence[WorkerPlan], *, of_cards: bool = True) -> Machine:
        """What was measured while `workers` ran, as if they did not.

        `of_cards` is False where the cards are simulated: those never lose memory.
        """
        taken = Counter[str]()
        for worker in workers:
            taken[worker.device_key] += worker.need_mb
        gpus = tuple(
            replace(gpu, memory_free_mb=min(gpu.memory_total_mb, gpu.memory_free_mb + back))
            for gpu in self.gpus
            for back in [taken[gpu.uuid or f"gpu-{gpu.index}"] if of_cards else 0]
        )
        free_cpu_mb = self.free_cpu_mb + taken[""] if self.free_cpu_mb else 0
        return replace(self, gpus=gpus, free_cpu_mb=free_cpu_mb)


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One worker: `device` is what the engine is told, `shown_device` what operators see.

    `device_key` is the same for those that a broken card takes with it, "" on the CPU. `env` hides
    the other cards. `cores` () is not pinned, `memory_fraction` 0 is no limit.
    """

    id: str
    pool: str
    device: str
    device_key: str
    shown_device: str
    env: Mapping[str, str]
    cores: tuple[int, ...]
    threads: int
    memory_fraction: float
    weight: float
    need_mb: int


@dataclass(frozen=True, slots=True)
class _Seat:
    pool: PoolPlanInput
    place: Place


def plan(
    pools: Sequence[PoolPlanInput], machine: Machine, existing: Sequence[WorkerPlan] = ()
) -> tuple[WorkerPlan, ...]:
    """Every worker of the pools, in their order; raises PlanError with the arithmetic.

    `existing` stay exactly as they are, also where a pool wants fewer: leave out whom you end.
    Those of pools that are not named count for memory, but are not in the answer.
    """
    places = _places(pools, machine)
    for pool in pools:
        _check_cores(pool, machine)
    board = _board(machine, existing)
    seats = _seats(pools, places, existing, board)
    shares = _core_shares(pools, seats, machine, existing)
    growth = _growth(pools, places, seats, existing, board)
    workers: list[WorkerPlan] = []
    for pool in pools:
        old = [worker for worker in existing if worker.pool == pool.name]
        new = [seat for seat in seats if seat.pool is pool]
        numbers = _free_numbers(pool.name, old, len(new))
        fractions = [_fraction(seat, board, growth, machine) for seat in new]
        workers += old
        workers += map(_worker, new, numbers, shares[pool.name], fractions)
    return tuple(workers)


def most_instances(
    pool: PoolPlanInput, machine: Machine, existing: Sequence[WorkerPlan] = ()
) -> int:
    """How many instances of the pool memory allows beside all others that run.

    `existing` are the workers of every pool, its own too; raises PlanError for a device that is
    not there.
    """
    board = _board(machine, existing)
    own = sum(worker.pool == pool.name for worker in existing)
    more = sum(board.room_for(place, pool.need_mb) for place in _places([pool], machine)[pool.name])
    return own + int(min(more, max(0, MOST_INSTANCES - own)))


# -- where --------------------------------------------------------------------------------------


def _places(pools: Sequence[PoolPlanInput], machine: Machine) -> dict[str, tuple[Place, ...]]:
    cards = visible_cards(machine.gpus, machine.visible)
    cpu = cpu_place(machine.free_cpu_mb)
    missing = why_no_cards(machine.gpus, machine.visible)
    found = {}
    for pool in pools:
        try:
            found[pool.name] = places_named(pool.devices, cards, cpu, missing)
        except PlanError as fault:
            raise PlanError(f"pool {pool.name}: {fault.message}", param=fault.param) from None
    return found


def _board(machine: Machine, existing: Sequence[WorkerPlan]) -> MemoryBoard:
    board = MemoryBoard(machine.reserve_mb)
    for worker in existing:
        board.add(worker.device_key, worker.pool, worker.need_mb)
    return board


def _seats(
    pools: Sequence[PoolPlanInput],
    places: Mapping[str, tuple[Place, ...]],
    existing: Sequence[WorkerPlan],
    board: MemoryBoard,
) -> list[_Seat]:
    seats: list[_Seat] = []
    overfull: list[Place] = []
    # whoever has no choice first, then the largest: what is left is of use to the others
    order = sorted(pools, key=lambda pool: (len(places[pool.name]), -pool.need_mb))
    for pool in order:
        counts = Counter(worker.device_key for worker in existing if worker.pool == pool.name)
        for _ in range(pool.instances - counts.total()):
            place = board.best(places[pool.name], pool.need_mb, counts)
            if not board.fits(place, pool.need_mb):
                overfull.append(place)
            counts[place.key] += 1
            board.add(place.key, pool.name, pool.need_mb)
            seats.append(_Seat(pool, place))
    # only now, so that the arithmetic has everything in it that was wanted
    if overfull:
        raise PlanError(board.arithmetic(overfull[0]), param="instances")
    return seats


# -- its share of memory ------------------------------------------------------------------------


def _growth(
    pools: Sequence[PoolPlanInput],
    places: Mapping[str, tuple[Place, ...]],
    seats: Sequence[_Seat],
    existing: Sequence[WorkerPlan],
    board: MemoryBoard,
) -> dict[str, list[int]]:
    """By place, what the workers will need that pools may still get there."""
    growth: dict[str, list[int]] = {}
    for pool in pools:
        there = sum(seat.pool is pool for seat in seats)
        there += sum(worker.pool == pool.name for worker in existing)
        each = math.ceil(max(0, pool.max_instances - there) / len(places[pool.name]))
        for place in places[pool.name]:
            most = int(min(each, board.room_for(place, pool.need_mb)))
            growth.setdefault(place.key, []).extend([pool.need_mb] * most)
    return growth


def _fraction(
    seat: _Seat, board: MemoryBoard, growth: Mapping[str, list[int]], machine: Machine
) -> float:
    """Its part of what may be used on the card, by need; 0 where it is alone there for good."""
    place = seat.place
    needs = [*board.needs(place.key), *growth.get(place.key, [])]
    if place.free_mb is None or not place.total_mb or len(needs) < 2:
        return 0.0
    share = seat.pool.need_mb / sum(needs) if all(needs) else 1 / len(needs)
    share_mb = (place.free_mb - machine.reserve_mb) * share - seat.pool.context_mb
    return round(min(1.0, max(_LEAST_FRACTION, share_mb / place.total_mb)), 4)


# -- its share of cores -------------------------------------------------------------------------


def _check_cores(pool: PoolPlanInput, machine: Machine) -> None:
    missing = sorted(set(pool.cores) - set(machine.cores))
    if missing:
        usable = ", ".join(map(str, machine.cores))
        raise PlanError(
            f"pool {pool.name}: core {missing[0]} cannot be used here; usable are {usable}",
            param="cores",
        )


def _core_shares(
    pools: Sequence[PoolPlanInput],
    seats: Sequence[_Seat],
    machine: Machine,
    existing: Sequence[WorkerPlan],
) -> dict[str, list[CoreShare]]:
    counts = Counter(seat.pool.name for seat in seats)
    wishes = []
    for pool in pools:
        taken = tuple(worker.cores for worker in existing if worker.pool == pool.name)
        slots = max(pool.max_instances, len(taken) + counts[pool.name])
        on_cpu = pool.devices == ("cpu",)
        wishes.append(CoreWish(pool.name, counts[pool.name], slots, taken, pool.cores, on_cpu))
    return share_out(wishes, machine.cores, machine.own_cores)


# -- put together -------------------------------------------------------------------------------


def _worker(seat: _Seat, number: int, share: CoreShare, fraction: float) -> WorkerPlan:
    place = seat.place
    return WorkerPlan(
        id=f"{seat.pool.name}-{number}",
        pool=seat.pool.name,
        device=place.told,
        device_key=place.key,
        shown_device=place.shown,
        env=place.environment,
        cores=share.cores,
        threads=share.threads,
        memory_fraction=fraction,
        weight=seat.pool.weight,
        need_mb=seat.pool.need_mb,
    )


def _free_numbers(pool: str, old: Sequence[WorkerPlan], count: int) -> list[int]:
    taken = {worker.id for worker in old}
    free = (number for number in itertools.count() if f"{pool}-{number}" not in taken)
    return list(itertools.islice(free, count))
