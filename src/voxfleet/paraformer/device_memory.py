"""Running out of a device's memory as an error that says what did not fit; and how much is free.

Knows no model and no request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

#: as PyTorch says it of a GPU, and of a CPU
_TRIED = re.compile(r"[Tt]ried to allocate ([0-9.]+ ?(?:[KMGT]?i?B|bytes))")
_CPU_FAULT = "DefaultCPUAllocator"


class DeviceMemoryError(MemoryError):
    """One line: the device, the size that failed, the batch. A smaller batch may still fit."""


def is_memory_fault(fault: RuntimeError) -> bool:
    """PyTorch has a class of its own for a GPU's memory only."""
    return isinstance(fault, torch.OutOfMemoryError) or _CPU_FAULT in str(fault)


def memory_error(
    fault: RuntimeError, device: torch.device, durations_s: Sequence[float]
) -> DeviceMemoryError:
    tried = _TRIED.search(str(fault))
    size = tried.group(1) if tried else "the memory"
    longest_s = max(durations_s, default=0.0)
    return DeviceMemoryError(
        f"{device} could not allocate {size} for {len(durations_s)} segments"
        f" of up to {longest_s:.1f} s ({sum(durations_s):.1f} s in all)"
    )


def release(device: torch.device) -> None:
    """Give back what a failed batch left in PyTorch's cache, fragmented as it may be."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0]
