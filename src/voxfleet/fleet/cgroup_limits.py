"""What the control groups of this process still allow it: memory, and time of the CPU.

Reads both versions of cgroups, ours and those above it: the tightest counts. No limit is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MIB = 1 << 20
_MOUNT = Path("sys/fs/cgroup")
#: version 1 says "no limit" with a number close to 2^63
_NO_LIMIT = 1 << 60


def memory_left_mb(root: Path) -> int | None:
    """MiB until the tightest limit, what the kernel could take back of its cache included."""
    left = [
        limit - max(0, used - _cache(folder, cache))
        for controller, limits, uses, cache in (
            ("", "memory.max", "memory.current", "inactive_file"),
            ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        )
        for folder in _groups(root, controller)
        if (limit := _number(folder / limits)) is not None
        and limit < _NO_LIMIT
        and (used := _number(folder / uses)) is not None
    ]
    return max(1, min(left) // _MIB) if left else None


def cpu_quota(root: Path) -> float | None:
    """Cores' worth of time."""
    quotas = [quota for folder in _groups(root, "") if (quota := _quota_v2(folder))]
    quotas += [quota for folder in _groups(root, "cpu") if (quota := _quota_v1(folder))]
    return min(quotas, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of our own group and of those above it; `controller` is "" for version 2.

    In a container the path may be the host's: what of it is not there is passed over.
    """
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        names, _, path = line.partition(":")[2].partition(":")
        if controller not in names.split(","):
            continue
        mounts = [root / _MOUNT / names, root / _MOUNT / controller]
        mount = next((mount for mount in mounts if mount.is_dir()), mounts[0])
        folder = mount / path.lstrip("/")
        while True:
            yield folder
            if folder == mount:
                break
            folder = folder.parent


def _quota_v2(folder: Path) -> float | None:
    words = (_text(folder / "cpu.max") or "").split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        # "max 100000" is no limit
        return None
    return int(words[0]) / int(words[1])


def _quota_v1(folder: Path) -> float | None:
    quota = _number(folder / "cpu.cfs_quota_us")
    period = _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period else None


def _cache(folder: Path, name: str) -> int:
    lines = (line.split() for line in (_text(folder / "memory.stat") or "").splitlines())
    return next((int(line[1]) for line in lines if len(line) == 2 and line[0] == name), 0)


def _number(path: Path) -> int | None:
    """None for a file that is not there, and for "max" or -1 in it."""
    text = (_text(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
