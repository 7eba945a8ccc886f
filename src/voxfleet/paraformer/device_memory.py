"""What a device cannot do, as errors that say it: no memory for a batch, or no computing any more.

And how much memory is free. Knows no model and no request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from voxfleet.errors import DeviceFaultError

#: as PyTorch says it of a GPU, and of a CPU
_TRIED = re.compile(r"[Tt]ried to allocate ([0-9.]+ ?(?:[KMGT]?i?B|bytes))")
#: of a CPU; of CUDA itself, below PyTorch's own allocator; of its libraries' work space
_MEMORY_FAULTS = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


class DeviceMemoryError(MemoryError):
    """One line: the device, the size that failed, the batch. A smaller batch may still fit."""


def is_memory_fault(fault: RuntimeError) -> bool:
    """PyTorch has a class of its own for a GPU's memory only."""
    said = str(fault)
    return isinstance(fault, torch.OutOfMemoryError) or any(mark in said for mark in _MEMORY_FAULTS)


@contextmanager
def device_faults(device: torch.device) -> Iterator[None]:
    """Whatever fails in here because the device is lost to this process is a DeviceFaultError.

    An illegal access, a failed assertion, a lost MPS server: after these CUDA answers every call
    with the same error. So it is asked, rather than the error's words: a kernel that was refused
    (a bad shape, no code for this card) also says "CUDA error", and harms nobody else.
    """
    try:
        yield
    except RuntimeError as fault:
        if device.type == "cuda" and not is_memory_fault(fault) and _is_lost(device):
            said = " ".join(str(fault).split())
            raise DeviceFaultError(f"{device}: {said}; the process starts anew") from fault
        raise


def _is_lost(device: torch.device) -> bool:
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False


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
    """What this process may still take, of what nobody has taken."""
    free, total = torch.cuda.mem_get_info(device)
    allowed = int(torch.cuda.get_per_process_memory_fraction(device) * total)
    return max(0, min(free, allowed - torch.cuda.memory_reserved(device)))
