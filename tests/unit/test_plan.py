"""Plans of workers: where each goes, what it may take, and the arithmetic of a refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.plan_machines import CARD, asr, machine, refusal
from voxfleet.fleet.plan import Machine, PoolPlanInput, WorkerPlan, plan


def where(workers: tuple[WorkerPlan, ...]) -> list[str]:
    return [worker.shown_device for worker in workers]


# -- where --------------------------------------------------------------------------------------


def test_one_worker_on_a_card() -> None:
    (worker,) = plan([PoolPlanInput("asr", ("cuda:1",), weight=2, need_mb=70)], machine(6, 6))
    assert worker == WorkerPlan(
        id="asr-0",
        pool="asr",
        device="cuda:0",
        device_key="GPU-simulated-1",
        shown_device="cuda:1",
        env={"CUDA_VISIBLE_DEVICES": "GPU-simulated-1"},
        cores=(),
        threads=4,
        memory_fraction=0,
        weight=2,
        need_mb=70,
    )


def test_one_worker_on_the_cpu_sees_no_card_and_has_every_core() -> None:
    (worker,) = plan([PoolPlanInput("asr")], machine(6))
    assert (worker.device, worker.device_key, worker.shown_device) == ("cpu", "", "cpu")
    assert worker.env == {"CUDA_VISIBLE_DEVICES": ""}
    assert (worker.cores, worker.threads, worker.memory_fraction) == ((), 4, 0)


@pytest.mark.parametrize(
    ("free", "instances", "expected"),
    [
        ((6, 6), 2, ["cuda:0", "cuda:1"]),
        ((4, 6), 1, ["cuda:1"]),
        ((4, 6, 5), 4, ["cuda:1", "cuda:2", "cuda:0", "cuda:1"]),
        # evenly, as long as there is memory
        ((2, 9), 4, ["cuda:1", "cuda:0", "cuda:1", "cuda:1"]),
    ],
)
def test_instances_are_spread(free: tuple[float, ...], instances: int, expected: list[str]) -> None:
    workers = plan([asr(instances=instances, need_mb=1024)], machine(*free))
    assert where(workers) == expected
    assert [worker.id for worker in workers] == [f"asr-{number}" for number in range(instances)]


def test_who_has_no_choice_is_placed_first() -> None:
    pools = [asr("free", need_mb=3000), asr("bound", "cuda:0", need_mb=5000)]
    assert where(plan(pools, machine(6, 4))) == ["cuda:1", "cuda:0"]


def test_the_largest_is_placed_first_among_those_who_have_a_choice() -> None:
    pools = [asr("small", need_mb=3000), asr("large", need_mb=5000)]
    assert where(plan(pools, machine(6, 4))) == ["cuda:1", "cuda:0"]


@pytest.mark.parametrize(
    ("device", "visible", "key", "pin"),
    [
        ("cuda:1", None, "GPU-b", "GPU-b"),
        ("cuda:0", "1", "GPU-b", "GPU-b"),
        ("cuda:1", "2, GPU-b", "GPU-b", "GPU-b"),
        ("cuda:0", "2,0", "gpu-2", "2"),
        ("GPU-b", "2,1", "GPU-b", "GPU-b"),
        ("cuda", "MIG-7", "MIG-7", "MIG-7"),
    ],
)
def test_names_mean_what_they_mean_to_cuda(
    device: str, visible: str | None, key: str, pin: str
) -> None:
    cards = (CARD, replace(CARD, index=1, uuid="GPU-b"), replace(CARD, index=2, uuid=""))
    (worker,) = plan([asr("asr", device, need_mb=9)], Machine(cards, visible=visible))
    assert (worker.device_key, worker.env["CUDA_VISIBLE_DEVICES"]) == (key, pin)
    # a number is the driver's, not that of the fastest card
    assert worker.env.get("CUDA_DEVICE_ORDER") == ("PCI_BUS_ID" if pin == "2" else None)


@pytest.mark.parametrize(
    ("device", "on", "words"),
    [
        ("cuda", machine(), "device cuda: this machine has no NVIDIA GPU: set device to cpu"),
        ("cuda:0", machine(6, visible=""), "CUDA_VISIBLE_DEVICES='' hides every GPU"),
        ("cuda:0", machine(6, visible="7,0"), "CUDA_VISIBLE_DEVICES='7,0' hides every GPU"),
        ("cuda:1", machine(6, 6, visible="0,7,1"), "there are cuda:0 (GPU-simulated-0)"),
        ("cuda:2", machine(6, 6), "cuda:0 (GPU-simulated-0), cuda:1 (GPU-simulated-1)"),
        ("GPU-x", machine(6), "device GPU-x is not there; there are cuda:0"),
        ("GPU-sim", machine(6, 6), "device GPU-sim means several cards"),
        ("cuda:1", machine(6, 6, visible="0,GPU-sim"), "device cuda:1 is not there"),
    ],
)
def test_a_device_that_is_not_there_is_named(device: str, on: Machine, words: str) -> None:
    message = refusal(asr("asr", device), on=on)
    assert message.startswith(f"pool asr: device {device}")
    assert words in message


# -- memory -------------------------------------------------------------------------------------


def test_the_refusal_shows_the_arithmetic() -> None:
    pools = [
        asr("meetings", "cuda:0", instances=2, need_mb=3174),
        asr("calls", "cuda:0", need_mb=819),
    ]
    assert refusal(*pools, on=machine(6)).startswith(
        "2 × 3.1 GiB + 0.8 GiB > 6.0 GiB free on GPU 0 (reserve 0.5 GiB):"
        " 2 of pool meetings, 1 of pool calls; lower instances, "
    )


def test_a_reserve_that_tips_the_balance_is_in_the_sum() -> None:
    message = refusal(asr(instances=2, need_mb=2970), on=machine(6))
    assert message.startswith("2 × 2.9 GiB + 0.5 GiB reserve > 6.0 GiB free on GPU 0: 2 of pool")


def test_an_inequality_that_rounding_hides_is_shown_in_mib() -> None:
    message = refusal(asr(need_mb=6150), on=machine(6, reserve_mb=0))
    assert message.startswith("6150 MiB > 6144 MiB free on GPU 0: 1 of pool asr;")
    tiny = refusal(PoolPlanInput("a", instances=5000, need_mb=1), on=machine())
    assert tiny.startswith("5000 × 1 MiB > 4096 MiB free on this machine: 5000 of pool a;")


def test_the_cpu_has_an_end_too_and_no_reserve() -> None:
    cpu = PoolPlanInput("asr", instances=2, need_mb=2048)
    assert len(plan([cpu], machine())) == 2
    message = refusal(replace(cpu, instances=3), on=machine())
    assert message.startswith("3 × 2.0 GiB > 4.0 GiB free on this machine: 3 of pool asr;")


def test_memory_that_nobody_tells_is_no_limit() -> None:
    unknown = replace(CARD, memory_total_mb=0, memory_free_mb=0)
    pool = asr(instances=3, need_mb=9000)
    assert {worker.memory_fraction for worker in plan([pool], Machine((unknown,)))} == {0.0}
    assert len(plan([replace(pool, devices=("cpu",))], Machine(free_cpu_mb=0))) == 3
    assert len(plan([asr(instances=3)], machine(0.1))) == 3


def test_who_shares_a_card_gets_a_share_of_what_is_free() -> None:
    pools = [asr("a", instances=2, need_mb=2000), asr("b", need_mb=1000)]
    workers = plan(pools, Machine((CARD,), reserve_mb=144))
    # of 6000 MiB that may be used, on a card of 8192
    assert [worker.memory_fraction for worker in workers] == [
        round(6000 * part / 8192, 4) for part in (0.4, 0.4, 0.2)
    ]


def test_needs_that_are_unknown_share_alike_and_contexts_are_left_out() -> None:
    pools = [asr("a", instances=2), asr("b", need_mb=1000)]
    workers = plan([replace(pools[0], context_mb=500), pools[1]], Machine((CARD,), reserve_mb=144))
    assert [worker.memory_fraction for worker in workers] == [
        round(part_mb / 8192, 4) for part_mb in (1500, 1500, 2000)
    ]


def test_a_pool_that_may_grow_leaves_room_from_the_start() -> None:
    growing = asr(instances=1, max_instances=3, need_mb=1000)
    there = Machine((CARD,), reserve_mb=144)
    (first,) = plan([growing], there)
    assert first.memory_fraction == round(2000 / 8192, 4)
    _, second, third = plan([replace(growing, instances=3)], there, [first])
    assert second.memory_fraction == third.memory_fraction == first.memory_fraction


# -- cores --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instances", "cores", "expected"),
    [
        (2, 4, [((0, 1), 2), ((2, 3), 2)]),
        (3, 4, [((0, 1), 2), ((2,), 1), ((3,), 1)]),
        (4, 4, [((0,), 1), ((1,), 1), ((2,), 1), ((3,), 1)]),
        (5, 4, [((), 1)] * 5),
        (1, 4, [((), 4)]),
    ],
)
def test_cpu_workers_get_cores_of_their_own(
    instances: int, cores: int, expected: list[tuple[tuple[int, ...], int]]
) -> None:
    workers = plan([PoolPlanInput("asr", instances=instances)], machine(cores=cores))
    assert [(worker.cores, worker.threads) for worker in workers] == expected


def test_cores_that_are_not_ours_bind_nobody() -> None:
    shared = replace(machine(), own_cores=False)
    workers = plan([PoolPlanInput("asr", instances=2)], shared)
    assert [(worker.cores, worker.threads) for worker in workers] == [((), 2)] * 2


def test_named_cores_are_kept_free_of_others() -> None:
    pools = [
        PoolPlanInput("named", instances=2, cores=(1, 2)),
        PoolPlanInput("other"),
        PoolPlanInput("card", ("cuda:0",), instances=2),
        PoolPlanInput("bound", ("cuda:0",), cores=(2,), instances=2),
    ]
    workers = plan(pools, machine(6))
    assert [(worker.cores, worker.threads) for worker in workers] == [
        ((1,), 1),
        ((2,), 1),
        ((0, 3), 2),
        ((), 1),
        ((), 1),
        ((2,), 1),
        ((2,), 1),
    ]


def test_a_core_that_is_not_there_is_named() -> None:
    message = refusal(PoolPlanInput("asr", cores=(1, 9)), on=machine())
    assert message == "pool asr: core 9 cannot be used here; usable are 0, 1, 2, 3"


def test_a_pool_that_may_grow_takes_its_part_of_the_cores_only() -> None:
    growing = PoolPlanInput("asr", instances=1, max_instances=2)
    (first,) = plan([growing], machine())
    assert first.cores == (0, 1)
    assert plan([replace(growing, instances=2)], machine(), [first])[1].cores == (2, 3)


def test_beside_a_worker_that_roams_the_next_roams_too() -> None:
    (first,) = plan([PoolPlanInput("asr")], machine())
    _, second = plan([PoolPlanInput("asr", instances=2)], machine(), [first])
    assert (second.cores, second.threads) == ((), 2)
