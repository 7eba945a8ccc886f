"""Plans beside workers that run, and what holds of every plan, whatever is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plan_machines import CARD, asr, machine, refusal
from voxfleet.errors import PlanError
from voxfleet.fleet.plan import Machine, PoolPlanInput, WorkerPlan, most_instances, plan

# -- while others run ---------------------------------------------------------------------------


def test_numbers_that_are_free_are_used_again() -> None:
    pool = PoolPlanInput("asr", instances=3)
    first, _, third = plan([pool], machine())
    workers = plan([replace(pool, instances=4)], machine(), [first, third])
    assert [worker.id for worker in workers] == ["asr-0", "asr-2", "asr-1", "asr-3"]


def test_nobody_is_taken_away_and_others_count() -> None:
    old = plan([asr("old", instances=2, need_mb=2000)], machine(6))
    assert plan([asr("old", instances=1, need_mb=2000)], machine(6), old) == old
    assert len(plan([asr("new", need_mb=1500)], machine(6), old)) == 1
    message = refusal(asr("new", need_mb=1700), on=machine(6), existing=old)
    assert message.startswith("2 × 2.0 GiB + 1.7 GiB + 0.5 GiB reserve > 6.0 GiB free on GPU 0")


def test_what_was_measured_while_workers_ran_is_put_back() -> None:
    workers = plan([asr("a", need_mb=1000), PoolPlanInput("b", need_mb=50)], Machine((CARD,)))
    measured = Machine((replace(CARD, memory_free_mb=5144),), free_cpu_mb=100)
    assert measured.with_back(workers) == Machine((CARD,), free_cpu_mb=150)
    assert measured.with_back(workers, of_cards=False).gpus == measured.gpus
    full = Machine((replace(CARD, memory_free_mb=8000),))
    assert full.with_back(workers).gpus[0].memory_free_mb == 8192


def test_how_many_fit_beside_the_others() -> None:
    there = machine(6, 3)
    pool = asr("asr", instances=2, need_mb=1024)
    running = plan([pool, asr("other", "cuda:0", need_mb=2048)], there)
    # (6 - 0.5 - 2) and (3 - 0.5)
    assert most_instances(pool, there, running) == 3 + 2
    assert most_instances(asr("new", "cuda:1", need_mb=1024), there, running) == 1
    assert most_instances(asr("new", "cuda:1"), there, running) == 256


# -- whatever is asked --------------------------------------------------------------------------

FREE = st.lists(st.sampled_from([0.0, 1.0, 2.5, 6.0, 23.9]), min_size=1, max_size=4)


NEEDS_MB = (0, 1, 200, 700, 1024, 3000)
Case = tuple[Machine, list[PoolPlanInput]]


@st.composite
def wishes(draw: st.DrawFn, needs_mb: tuple[int, ...] = NEEDS_MB, choice: bool = True) -> Case:
    """Pools that may not fit; without `choice` each names the one place it can be."""
    free = draw(FREE)
    names = ["cpu", *(f"cuda:{number}" for number in range(len(free))), *["cuda"] * choice]
    there = machine(*free, cores=draw(st.integers(1, 9)))
    pools = [
        PoolPlanInput(
            f"p{number}",
            (draw(st.sampled_from(names)),),
            instances=draw(st.integers(1, 5)),
            need_mb=draw(st.sampled_from(needs_mb)),
            max_instances=draw(st.integers(0, 7)),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    return there, pools


def fits(pools: list[PoolPlanInput], there: Machine) -> bool:
    try:
        plan(pools, there)
    except PlanError:
        return False
    return True


@st.composite
def fitting(draw: st.DrawFn, needs_mb: tuple[int, ...] = NEEDS_MB) -> Case:
    """Of such pools as many as fit together, one at least."""
    there, wished = draw(wishes(needs_mb))
    pools = [PoolPlanInput("always", need_mb=max(needs_mb))]
    for pool in wished:
        if fits([*pools, pool], there):
            pools.append(pool)
    return there, pools


def check_memory(workers: tuple[WorkerPlan, ...], there: Machine) -> None:
    free = {gpu.uuid: gpu.memory_free_mb - there.reserve_mb for gpu in there.gpus}
    free[""] = there.free_cpu_mb
    for key, free_mb in free.items():
        assert sum(worker.need_mb for worker in workers if worker.device_key == key) <= max(
            0, free_mb
        )


@given(fitting())
def test_no_card_is_planned_over_its_memory(case: Case) -> None:
    there, pools = case
    workers = plan(pools, there)
    check_memory(workers, there)
    for pool in pools:
        mine = [worker for worker in workers if worker.pool == pool.name]
        assert [worker.id for worker in mine] == [f"{pool.name}-{n}" for n in range(pool.instances)]
    for gpu in there.gpus:
        shares = [w.memory_fraction for w in workers if w.device_key == gpu.uuid]
        # rounded to four digits each, and never nothing
        assert sum(shares) <= 1.0 + 0.001 * len(shares)


@given(fitting())
def test_cores_are_shared_by_nobody_or_by_all(case: Case) -> None:
    there, pools = case
    workers = plan(pools, there)
    cores = [core for worker in workers for core in worker.cores]
    assert len(cores) == len(set(cores)) <= len(there.cores)
    for worker in workers:
        assert worker.threads == len(worker.cores) or not worker.cores
        assert worker.threads >= 1
    on_cpu = [worker for worker in workers if worker.device == "cpu"]
    assert len({bool(worker.cores) for worker in on_cpu}) <= 1


@given(fitting(), st.integers(0, 4), st.integers(1, 3))
def test_one_more_moves_nobody(case: Case, which: int, more: int) -> None:
    there, pools = case
    before = plan(pools, there)
    which %= len(pools)
    pools[which] = replace(pools[which], instances=pools[which].instances + more)
    try:
        after = plan(pools, there, before)
    except PlanError:
        return
    check_memory(after, there)
    assert [worker for worker in after if worker in before] == list(before)
    assert len(after) == len(before) + more
    assert len({worker.id for worker in after}) == len(after)


# smaller ones meet the limit of instances before that of memory
@given(fitting((700, 1024, 3000)), st.integers(0, 4))
def test_as_many_as_are_said_to_fit_do(case: Case, which: int) -> None:
    there, pools = case
    before = plan(pools, there)
    which %= len(pools)
    most = most_instances(pools[which], there, before)
    assert most >= pools[which].instances
    grown = [*pools]
    grown[which] = replace(pools[which], instances=most)
    check_memory(plan(grown, there, before), there)
    grown[which] = replace(pools[which], instances=most + 1)
    with pytest.raises(PlanError):
        plan(grown, there, before)


@given(wishes(choice=False))
def test_what_has_no_choice_is_refused_exactly_where_it_is_too_much(case: Case) -> None:
    there, pools = case
    limits = {"cpu": there.free_cpu_mb}
    for gpu in there.gpus:
        limits[f"cuda:{gpu.index}"] = gpu.memory_free_mb - there.reserve_mb
    wanted = {
        name: sum(pool.instances * pool.need_mb for pool in pools if pool.devices == (name,))
        for name in limits
    }
    too_much = [name for name in limits if 0 < wanted[name] > limits[name]]
    assert fits(pools, there) == (not too_much)
