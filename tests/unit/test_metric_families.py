"""Snapshots of the fleet as samples: every figure where a dashboard looks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.metric_pages import Values, sample, values_of
from voxfleet.errors import NotReadyError
from voxfleet.observe.machine_metrics import MachineMetrics
from voxfleet.observe.metric_declarations import DECLARATIONS
from voxfleet.observe.metric_families import FleetLook, fleet_families, gpu_families
from voxfleet.observe.metrics import Metrics
from voxfleet.pool_contract import (
    GpuSnapshot,
    PoolSnapshot,
    QueueSnapshot,
    RestartCause,
    RetryReason,
    WorkerSnapshot,
    WorkerState,
)

BUSY = WorkerSnapshot(
    id="fast-0",
    model="main",
    device="cuda:0",
    pid=42,
    state=WorkerState.READY,
    restarts=3,
    busy=True,
    pool="fast",
    audio_s=60.0,
    compute_s=2.0,
    batches=4,
    credit_s=120.0,
    out_of_memory=1,
    segments=20,
    padded_s=75.0,
    offered_s=150.0,
    restarts_by_cause={RestartCause.KILLED: 2, RestartCause.HUNG: 1},
)
LONE = WorkerSnapshot("main-0", "main", "cpu", 43, WorkerState.FAILED, 0, False)
LOOK = FleetLook(
    pools=(PoolSnapshot("main", (BUSY, LONE), 30.0, degraded="1 worker failed"),),
    queues={"main": QueueSnapshot(7, 90.0, 5, {RetryReason.WORKER_LOST: 4})},
    requests=5,
    ready=True,
    version="1.2.3",
)
GPU = GpuSnapshot(0, "GPU-1", "Card", memory_total_mb=1000, memory_free_mb=250, load_percent=80)


def looked(look: FleetLook = LOOK) -> Values:
    return values_of(fleet_families(look))


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("ready", {}, 1),
        ("requests_admitted", {}, 5),
        ("build_info", {"version": "1.2.3"}, 1),
        ("queue_segments", {"model": "main"}, 7),
        ("queue_audio_seconds", {"model": "main"}, 90),
        ("queue_wait_seconds", {"model": "main"}, 3),
        ("model_realtime_factor", {"model": "main"}, 30),
        ("model_degraded", {"model": "main"}, 1),
        ("segment_retries_total", {"model": "main", "reason": "worker_lost"}, 4),
        ("segment_retries_total", {"model": "main", "reason": "batch_suspected"}, 0),
    ],
)
def test_figures_of_the_server_and_its_models(
    name: str, labels: dict[str, str], value: float
) -> None:
    assert looked()[sample(f"voxfleet_{name}", **labels)] == value


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("worker_info", {"model": "main", "device": "cuda:0"}, 1),
        ("worker_state", {"state": "ready"}, 1),
        ("worker_state", {"state": "failed"}, 0),
        ("worker_busy", {}, 1),
        ("worker_credit_seconds", {}, 120),
        ("worker_restarts_total", {"cause": "killed"}, 2),
        ("worker_restarts_total", {"cause": "hung"}, 1),
        ("worker_restarts_total", {"cause": "crashed"}, 0),
        ("worker_out_of_memory_total", {}, 1),
        ("batches_total", {}, 4),
        ("batch_segments_total", {}, 20),
        ("batch_audio_seconds_total", {}, 60),
        ("batch_padded_seconds_total", {}, 75),
        ("batch_offered_seconds_total", {}, 150),
        ("batch_compute_seconds_total", {}, 2),
    ],
)
def test_figures_of_a_worker(name: str, labels: dict[str, str], value: float) -> None:
    where = {"pool": "fast", "worker": "fast-0"}
    assert looked()[sample(f"voxfleet_{name}", **where, **labels)] == value


def test_a_worker_without_a_pool_is_called_by_its_model() -> None:
    name = "voxfleet_worker_state"
    labels = {"pool": "main", "worker": "main-0", "state": "failed"}
    assert looked()[sample(name, **labels)] == 1


def test_a_model_that_is_being_replaced_is_told_once() -> None:
    successor = PoolSnapshot("main", (replace(BUSY, id="fast-1"),), 12.0)
    values = looked(replace(LOOK, pools=(*LOOK.pools, successor)))
    assert values[sample("voxfleet_model_realtime_factor", model="main")] == 42
    assert values[sample("voxfleet_model_degraded", model="main")] == 1


def test_speed_that_nobody_has_measured_is_absent() -> None:
    unmeasured = (PoolSnapshot("main", (BUSY,), None),)
    names = {name for name, _ in looked(replace(LOOK, pools=unmeasured))}
    assert "voxfleet_model_realtime_factor" not in names
    assert "voxfleet_queue_wait_seconds" not in names


def test_cards_tell_what_their_driver_tells() -> None:
    values = values_of(gpu_families([GPU]))
    card = {"gpu": "0", "card": "Card"}
    assert values[sample("voxfleet_gpu_memory_total_bytes", **card)] == 1000 * 2**20
    assert values[sample("voxfleet_gpu_memory_used_bytes", **card)] == 750 * 2**20
    assert values[sample("voxfleet_gpu_load_ratio", **card)] == 0.8
    assert "voxfleet_gpu_temperature_celsius" not in {name for name, _ in values}


def test_cards_are_asked_every_five_seconds_at_most(tmp_path: Path) -> None:
    asked: list[float] = []
    now_s = [0.0]

    def gpus() -> tuple[GpuSnapshot, ...]:
        asked.append(now_s[0])
        return (GPU,)

    machine = MachineMetrics(gpus, tmp_path, clock=lambda: now_s[0])
    for moment_s in (0.0, 1.0, 4.9, 5.0, 6.0):
        now_s[0] = moment_s
        assert sample("voxfleet_gpu_load_ratio", gpu="0", card="Card") in values_of(
            machine.families(())
        )
    assert asked == [0.0, 5.0]


def test_a_machine_without_cards_has_no_series_of_them(tmp_path: Path) -> None:
    def nobody() -> tuple[GpuSnapshot, ...]:
        raise NotReadyError("the workers of this service cannot be operated")

    values = values_of(MachineMetrics(nobody, tmp_path).families(()))
    assert {name for name, _ in values} == {"voxfleet_data_dir_free_bytes"}
    assert values[sample("voxfleet_data_dir_free_bytes")] > 0


def test_the_memory_of_a_workers_process(tmp_path: Path) -> None:
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "statm").write_text("900 100 50 1 0 80 0\n")
    machine = MachineMetrics(lambda: (), tmp_path, proc=tmp_path)
    values = values_of(machine.families([BUSY, LONE]))
    name = "voxfleet_worker_resident_memory_bytes"
    found = {key: value for key, value in values.items() if key[0] == name}
    assert list(found) == [sample(name, pool="fast", worker="fast-0")]
    assert next(iter(found.values())) % 100 == 0


def test_what_is_declared_is_shown_and_nothing_else(tmp_path: Path) -> None:
    counted = Metrics()
    page, _ = counted.page(
        "", [*fleet_families(LOOK), *MachineMetrics(lambda: (GPU,), tmp_path).families([BUSY])]
    )
    shown = {
        line.split()[2] for line in page.decode().splitlines() if line.startswith("# TYPE voxfleet")
    }
    assert shown == {declared.name for declared in DECLARATIONS}
