"""From a folder to a recogniser on its device: the order in which the parts are put together.

Knows no request; raises StartError for all that can be wrong with folder, device or precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from voxfleet.errors import StartError
from voxfleet.paraformer.batch_reader import BatchReader
from voxfleet.paraformer.checkpoint import Checkpoint, load_network, read_checkpoint
from voxfleet.paraformer.cpu_reader import CpuReader
from voxfleet.paraformer.device_memory import device_faults
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.precision import (
    DeviceAbility,
    Precision,
    choose_precision,
    set_cuda_rules,
    set_precision,
)
from voxfleet.paraformer.recogniser import Recogniser


@dataclass(frozen=True, slots=True)
class LoadedModel:
    recogniser: Recogniser
    precision: Precision
    memory_mb: int
    device: torch.device
    #: what a GPU must be warmed up with before it serves
    batch_reader: BatchReader | None = None

    def warm_up(self) -> None:
        """What only the device needs; a first batch is for the caller to try."""
        if self.batch_reader is not None:
            with device_faults(self.device):
                self.batch_reader.warm_up()


def load_recogniser(
    folder: Path,
    device: str,
    precision: str,
    threads: int,
    *,
    memory_fraction: float = 0.0,
    tick: Callable[[], None] = lambda: None,
) -> LoadedModel:
    """`memory_fraction` is the share of a GPU that this process may take, 0 all of it.

    `tick` is called after every item that a CPU has read; a GPU has all of a batch at once.
    """
    checkpoint = read_checkpoint(folder)
    target = _device(device)
    with device_faults(target):
        if target.type == "cuda" and memory_fraction > 0:
            torch.cuda.set_per_process_memory_fraction(memory_fraction, target)
        return _put_together(checkpoint, target, precision, threads, tick)


def _put_together(
    checkpoint: Checkpoint,
    target: torch.device,
    precision: str,
    threads: int,
    tick: Callable[[], None],
) -> LoadedModel:
    network = load_network(checkpoint)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    chosen = choose_precision(precision, ability_of(target), parameters)
    # in half precision before it moves: half as much is copied, and the card never holds both
    set_precision(network, chosen)
    network.to(target)
    memory_mb = _memory_mb(network, chosen, parameters)
    if target.type == "cpu":
        # of this thread, which computes features and hotwords; the reader's threads have their own
        torch.set_num_threads(threads)
        recogniser = Recogniser(checkpoint, network, CpuReader(network, threads, tick))
        return LoadedModel(recogniser, chosen, memory_mb, target)
    torch.cuda.set_device(target)
    set_cuda_rules(chosen)
    reader = BatchReader(network, target, graphs=True)
    recogniser = Recogniser(checkpoint, network, reader)
    return LoadedModel(recogniser, chosen, memory_mb, target, reader)


def ability_of(device: torch.device) -> DeviceAbility:
    if device.type == "cpu":
        engines = set(torch.backends.quantized.supported_engines) - {"none"}
        return DeviceAbility("this CPU", int8=bool(engines))
    name = torch.cuda.get_device_name(device)
    return DeviceAbility(name, torch.cuda.get_device_capability(device))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise StartError(f"device {name!r} is unknown; use cpu, or cuda:0 and so on") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise StartError(f"device {name!r}: Paraformer runs on cpu and cuda only")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise StartError(
            f"device {name!r}: PyTorch {torch.__version__} finds no NVIDIA GPU; check the driver"
            " (nvidia-smi) and that PyTorch is a CUDA build, or set device to cpu"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise StartError(f"device {name!r}: this machine has {torch.cuda.device_count()} GPUs")
    return device


def _memory_mb(network: ParaformerNetwork, precision: Precision, parameters: int) -> int:
    left = sum(part.nbytes for part in (*network.parameters(), *network.buffers()))
    if precision is Precision.INT8:
        # packed weights are no tensors any more: one byte for each parameter that is gone
        left += parameters - sum(part.numel() for part in network.parameters())
    return left >> 20
