"""What the machine is said to have: cards by NVML, memory and cores within our control group."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pynvml
import pytest

from voxfleet.fleet.devices import (
    DeviceProbe,
    NvmlProbe,
    cores_are_ours,
    free_cpu_memory_mb,
    usable_cores,
)
from voxfleet.fleet.simulated_gpus import SimulatedProbe
from voxfleet.pool_contract import GpuSnapshot

MIB = 1 << 20
FULL = GpuSnapshot(
    index=0,
    uuid="GPU-0",
    name="card 0",
    memory_total_mb=8192,
    memory_free_mb=6000,
    driver="580.1",
    capability="9.0",
    load_percent=7,
    temperature_c=41,
)


def untold(*_: object) -> NoReturn:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Plays a driver with two cards; a call can be exchanged by its name."""

    def play(**changed: object) -> None:
        calls = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlSystemGetDriverVersion": lambda: "580.1",
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetUUID": lambda card: f"GPU-{card}",
            "nvmlDeviceGetName": lambda card: f"card {card}",
            "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(
                total=8192 * MIB, free=6000 * MIB
            ),
            "nvmlDeviceGetCudaComputeCapability": lambda card: (9, 0),
            "nvmlDeviceGetUtilizationRates": lambda card: SimpleNamespace(gpu=7),
            "nvmlDeviceGetTemperature": lambda card, kind: 41,
        }
        for name, call in (calls | changed).items():
            monkeypatch.setattr(pynvml, name, call)

    return play


def test_cards_as_the_driver_tells_them(driver: Callable[..., None]) -> None:
    driver()
    first, second = NvmlProbe().gpus()
    assert first == FULL
    assert (second.index, second.uuid, second.name) == (1, "GPU-1", "card 1")


@pytest.mark.parametrize(
    ("call", "field", "value"),
    [
        ("nvmlDeviceGetUUID", "uuid", ""),
        ("nvmlDeviceGetName", "name", ""),
        ("nvmlDeviceGetMemoryInfo", "memory_total_mb", 0),
        ("nvmlDeviceGetCudaComputeCapability", "capability", ""),
        ("nvmlDeviceGetUtilizationRates", "load_percent", None),
        ("nvmlDeviceGetTemperature", "temperature_c", None),
        ("nvmlSystemGetDriverVersion", "driver", ""),
    ],
)
def test_a_value_that_is_not_told_is_left_out(
    driver: Callable[..., None], call: str, field: str, value: object
) -> None:
    driver(**{call: untold})
    card = NvmlProbe().gpus()[0]
    assert getattr(card, field) == value
    rest = {"name": "card 0", "temperature_c": 41, "memory_total_mb": 8192}
    assert all(getattr(card, other) == told for other, told in rest.items() if other != field)


def test_a_card_that_is_lost_leaves_the_others(driver: Callable[..., None]) -> None:
    def handle(index: int) -> int:
        return untold() if index == 0 else index

    driver(nvmlDeviceGetHandleByIndex=handle)
    assert [card.index for card in NvmlProbe().gpus()] == [1]


def test_no_driver_is_no_card_until_there_is_one(driver: Callable[..., None]) -> None:
    probe = NvmlProbe()
    driver(nvmlInit=untold)
    assert probe.gpus() == ()
    driver()
    assert len(probe.gpus()) == 2


def test_simulated_cards_are_a_probe_like_the_other() -> None:
    probe: DeviceProbe = SimulatedProbe([6, 0.5, 0])
    assert [card.memory_free_mb for card in probe.gpus()] == [6144, 512, 0]
    assert [card.index for card in probe.gpus()] == [0, 1, 2]
    assert len({card.uuid for card in probe.gpus()}) == 3
    # a total of 0 would be memory that nobody tells
    assert all(card.memory_total_mb for card in probe.gpus())
    assert (probe.measures_workers, NvmlProbe().measures_workers) == (False, True)


# -- memory and cores ---------------------------------------------------------------------------

V2 = "0::/a/b\n"
V1 = "5:cpu,cpuacct:/a/b\n4:memory:/a/b\n0::/\n"
MEMINFO = {"proc/meminfo": "MemTotal: 9999999 kB\nMemAvailable: 2048000 kB\n"}


def rooted(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def v2(group: str, **files: str) -> dict[str, str]:
    named = {name.replace("_", ".", 1): text for name, text in files.items()}
    return {f"sys/fs/cgroup{group}/{name}": text for name, text in named.items()}


def v1(controller: str, group: str, **files: str) -> dict[str, str]:
    named = {name.replace("_", ".", 1): text for name, text in files.items()}
    return {f"sys/fs/cgroup/{controller}{group}/{name}": text for name, text in named.items()}


LIMITED = v2("/a/b", memory_max=f"{300 * MIB}\n", memory_current=f"{200 * MIB}\n")


@pytest.mark.parametrize(
    ("files", "free_mb"),
    [
        ({}, 0),
        (MEMINFO, 2000),
        (MEMINFO | {"proc/self/cgroup": V2}, 2000),
        (MEMINFO | {"proc/self/cgroup": V2} | LIMITED, 100),
        ({"proc/self/cgroup": V2} | LIMITED, 100),
        # what the kernel would give back of its cache is free
        (
            {"proc/self/cgroup": V2}
            | LIMITED
            | v2("/a/b", memory_stat=f"anon 5\ninactive_file {50 * MIB}\n"),
            150,
        ),
        # the group above is tighter; used up is not the same as untold
        (
            {"proc/self/cgroup": V2}
            | LIMITED
            | v2("/a", memory_max=f"{210 * MIB}", memory_current=f"{210 * MIB}"),
            1,
        ),
        (MEMINFO | {"proc/self/cgroup": V2} | v2("/a/b", memory_max="max\n"), 2000),
        # in a container the path is the host's, and its files are at the top
        (
            {"proc/self/cgroup": V2}
            | v2("", memory_max=f"{300 * MIB}", memory_current=f"{100 * MIB}"),
            200,
        ),
        (
            {"proc/self/cgroup": V1}
            | v1(
                "memory",
                "/a",
                memory_limit_in_bytes=f"{300 * MIB}",
                memory_usage_in_bytes=f"{200 * MIB}",
                memory_stat=f"total_inactive_file {30 * MIB}\n",
            ),
            130,
        ),
        (
            MEMINFO
            | {"proc/self/cgroup": V1}
            | v1(
                "memory",
                "/a/b",
                memory_limit_in_bytes="9223372036854771712",
                memory_usage_in_bytes="1",
            ),
            2000,
        ),
    ],
)
def test_free_memory_is_what_the_tightest_limit_leaves(
    tmp_path: Path, files: dict[str, str], free_mb: int
) -> None:
    assert free_cpu_memory_mb(rooted(tmp_path, files)) == free_mb


@pytest.mark.parametrize(
    ("files", "cores", "ours"),
    [
        ({}, (0, 2, 4, 6), True),
        ({"proc/self/cgroup": V2} | v2("/a/b", cpu_max="max 100000\n"), (0, 2, 4, 6), True),
        ({"proc/self/cgroup": V2} | v2("/a", cpu_max="200000 100000\n"), (0, 2), False),
        ({"proc/self/cgroup": V2} | v2("/a", cpu_max="50000 100000\n"), (0,), False),
        ({"proc/self/cgroup": V2} | v2("/a", cpu_max="900000 100000\n"), (0, 2, 4, 6), True),
        (
            {"proc/self/cgroup": V1}
            | v1("cpu,cpuacct", "/a/b", cpu_cfs_quota_us="300000", cpu_cfs_period_us="100000"),
            (0, 2, 4),
            False,
        ),
        (
            {"proc/self/cgroup": V1}
            | v1("cpu", "/a/b", cpu_cfs_quota_us="-1\n", cpu_cfs_period_us="100000"),
            (0, 2, 4, 6),
            True,
        ),
    ],
)
def test_cores_are_those_that_the_quota_is_worth(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    cores: tuple[int, ...],
    ours: bool,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {6, 0, 2, 4})
    root = rooted(tmp_path, files)
    assert (usable_cores(root), cores_are_ours(root)) == (cores, ours)


def test_this_machine_has_memory_and_cores() -> None:
    assert free_cpu_memory_mb() > 0
    assert set(usable_cores()) <= os.sched_getaffinity(0)
