"""The machine as /proc tells it: a made one, with and without the limits of a container."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from voxfleet.observe.system_info import (
    CpuMeter,
    DiskInfo,
    MemoryInfo,
    SystemReader,
    cgroup_folders,
    cpu_quota,
    installed_versions,
    read_disk,
    read_memory,
)

GB = 1_000_000_000
MEMINFO = """MemTotal:       16000000 kB
MemFree:         1000000 kB
MemAvailable:    8000000 kB
HugePages_Total:       0
"""
STATUS = "Name:\tpython\nVmPeak:\t  999999 kB\nVmRSS:\t   50000 kB\n"


def made(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def machine(root: Path, cgroup: str = "0::/\n", files: dict[str, str] | None = None) -> Path:
    proc = {"proc/meminfo": MEMINFO, "proc/self/status": STATUS, "proc/self/cgroup": cgroup}
    groups = {f"sys/fs/cgroup/{name}": text for name, text in (files or {}).items()}
    return made(root, proc | groups)


# -- CPU ------------------------------------------------------------------------------------------


def stat(user: int, idle: int, iowait: int = 0, guest: int = 0) -> str:
    return f"cpu  {user} 10 20 {idle} {iowait} 0 0 5 {guest} 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"


def test_load_is_what_passed_between_two_looks() -> None:
    meter = CpuMeter()
    assert meter.load_percent(stat(1000, 1000)) is None
    assert meter.load_percent(stat(1075, 1025)) == 75.0
    # waiting for a disk is not computing, and a guest is in `user` already
    assert meter.load_percent(stat(1100, 1075, iowait=25, guest=50)) == 25.0
    assert meter.load_percent(stat(1100, 1275, iowait=25, guest=50)) == 0.0


def test_a_look_too_soon_changes_nothing() -> None:
    meter = CpuMeter()
    meter.load_percent(stat(1000, 1000))
    assert meter.load_percent(stat(1001, 1000)) is None
    assert meter.load_percent(stat(1050, 1050)) == 50.0
    assert meter.load_percent(stat(1099, 1050)) == 50.0
    # and none of it is left out of the next
    assert meter.load_percent(stat(1150, 1050)) == 100.0


@pytest.mark.parametrize("text", ["", "intr 5 6 7 8 9\n", "cpu 1 2\n"])
def test_no_load_where_the_system_tells_none(text: str) -> None:
    meter = CpuMeter()
    assert [meter.load_percent(text), meter.load_percent(text)] == [None, None]


@pytest.mark.parametrize(
    ("cgroup", "files", "cores"),
    [
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}, 0.5),
        (
            "3:cpu,cpuacct:/docker/x\n1:cpuset:/\n",
            {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            2.0,
        ),
        (
            "3:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            None,
        ),
    ],
)
def test_a_containers_share_of_the_cores(
    tmp_path: Path, cgroup: str, files: dict[str, str], cores: float | None
) -> None:
    assert cpu_quota(machine(tmp_path, cgroup, files)) == cores


# -- memory ---------------------------------------------------------------------------------------


def test_memory_of_a_machine_without_limits(tmp_path: Path) -> None:
    assert read_memory(machine(tmp_path)) == MemoryInfo(16384, 8192, False, 51)


@pytest.mark.parametrize(
    ("cgroup", "files", "total_mb", "available_mb"),
    [
        # cached files count as room
        (
            "0::/\n",
            {
                "memory.max": f"{4 * GB}\n",
                "memory.current": f"{3 * GB}\n",
                "memory.stat": f"anon 5\ninactive_file {2 * GB}\n",
            },
            4000,
            3000,
        ),
        # the tightest of nested limits, wherever it is
        (
            "0::/slice/unit\n",
            {
                "slice/memory.max": f"{2 * GB}\n",
                "slice/memory.current": f"{GB}\n",
                "slice/unit/memory.max": f"{3 * GB}\n",
                "slice/unit/memory.current": "0\n",
            },
            2000,
            1000,
        ),
        # a limit that leaves more than the machine has
        (
            "0::/\n",
            {"memory.max": f"{15 * GB}\n", "memory.current": "0\n"},
            15000,
            8192,
        ),
        # the host's path is not to be seen in a container of version 1
        (
            "4:memory:/docker/abc\n0::/\n",
            {
                "memory/memory.limit_in_bytes": f"{GB}\n",
                "memory/memory.usage_in_bytes": f"{GB // 2}\n",
                "memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {GB // 4}\n",
            },
            1000,
            750,
        ),
    ],
)
def test_memory_within_limits(
    tmp_path: Path, cgroup: str, files: dict[str, str], total_mb: int, available_mb: int
) -> None:
    found = read_memory(machine(tmp_path, cgroup, files))
    assert found == MemoryInfo(total_mb, available_mb, True, 51)


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_no_limit_is_none(tmp_path: Path, limit: str) -> None:
    files = {"memory.max": f"{limit}\n", "memory.current": "5\n"}
    assert read_memory(machine(tmp_path, files=files)) == MemoryInfo(16384, 8192, False, 51)


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    assert read_memory(tmp_path) == MemoryInfo(None, None, False, None)
    assert cgroup_folders(tmp_path, "memory") == []
    assert read_disk(tmp_path / "gone") is None


def test_a_path_beside_our_own_is_not_followed(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/../other\n")
    assert cgroup_folders(root, "memory") == [tmp_path / "sys/fs/cgroup"]


# -- all of it ------------------------------------------------------------------------------------


def test_versions_of_what_is_installed_and_nothing_else() -> None:
    found = installed_versions()
    assert found["fastapi"] == version("fastapi")
    assert "vllm" not in found


def test_this_very_machine(tmp_path: Path) -> None:
    info = SystemReader(tmp_path).read()
    assert info.cpu.cores >= 1
    assert 0 < info.cpu.usable <= len(os.sched_getaffinity(0))
    assert len(info.cpu.load_average) == 3
    assert info.cpu.load_percent is None
    assert info.memory.total_mb is not None
    assert info.memory.available_mb is not None
    assert info.memory.process_mb is not None
    assert info.memory.total_mb > info.memory.available_mb > 0
    assert info.memory.total_mb > info.memory.process_mb > 0
    assert isinstance(info.disk, DiskInfo)
    assert info.disk.total_mb > info.disk.free_mb


def test_a_made_machine_is_read_again_at_each_call(tmp_path: Path) -> None:
    root = made(
        machine(tmp_path, files={"cpu.max": "50000 100000\n"}),
        {"proc/loadavg": "0.50 1.25 2.00 1/99 5\n", "proc/stat": stat(100, 100)},
    )
    reader = SystemReader(tmp_path, root)
    assert reader.read().cpu.load_percent is None
    made(root, {"proc/stat": stat(300, 300)})
    cpu = reader.read().cpu
    assert (cpu.usable, cpu.load_average, cpu.load_percent) == (0.5, (0.5, 1.25, 2.0), 50.0)
