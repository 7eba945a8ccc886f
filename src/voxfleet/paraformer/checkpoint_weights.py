"""Weights of a file into a network, every name, shape and value checked before any is used.

Knows no configuration file: the network is given by its ParaformerConfig.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from voxfleet.errors import StartError
from voxfleet.paraformer.model_config import Architecture, ParaformerConfig
from voxfleet.paraformer.network import ParaformerNetwork
from voxfleet.paraformer.weights_file import read_weights

_PRECISIONS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
#: names shown of each kind of fault
_SHOWN = 3
_NAME_LENGTH = 80
#: a name that only weights of this kind have -> what they are
_KINDS = (
    ("module.", "weights saved from a distributed trainer, whose names begin with module."),
    ("ctc.", "a model with a CTC head, like SenseVoice or a Conformer"),
    ("seaco_decoder.", f"a {Architecture.SEACO}"),
    ("predictor.upsample_cnn.", f"a {Architecture.BICIF}"),
    ("encoder.fsmn.", "an FSMN voice activity detector"),
    ("embed.weight", "a CT-Transformer, which sets punctuation"),
    ("predictor.cif_conv1d.", f"a {Architecture.PARAFORMER}"),
)


class _Undrawn(TorchFunctionMode):
    """Leaves out initial values, which on "meta" load 80 MB of Python and take 2 seconds."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        given = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def load_weights(path: Path, config: ParaformerConfig) -> ParaformerNetwork:
    """On the CPU, float32, ready to recognise; each tensor in memory of its own."""
    # without memory of its own: the file's tensors take the place of its parameters
    with torch.device("meta"), _Undrawn():
        network = ParaformerNetwork(config)
    # not mapped: a layer that is exchanged for a smaller one then gives its memory back
    weights = read_weights(path, mapped=False)
    _check_names(path, weights, network.state_dict(), f"a {config.architecture}")
    _check_values(path, weights)
    network.load_state_dict({name: _plain(tensor) for name, tensor in weights.items()}, assign=True)
    return network.requires_grad_(requires_grad=False).eval()


def _plain(tensor: Tensor) -> Tensor:
    """A float32 tensor of the file is taken as it lies there."""
    return tensor.detach().float().contiguous()


def _check_names(
    path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], expected: str
) -> None:
    faults = [
        _listed("lacks", [name for name in wanted if name not in found]),
        _listed("has unexpected", [name for name in found if name not in wanted]),
        _listed(
            "has the wrong shape in",
            [
                f"{name} {_shape(found[name])} instead of {_shape(tensor)}"
                for name, tensor in wanted.items()
                if name in found and found[name].shape != tensor.shape
            ],
        ),
        _listed(
            "has no weights but another type in",
            [
                f"{name} ({tensor.dtype})"
                for name, tensor in found.items()
                if name in wanted and tensor.dtype not in _PRECISIONS
            ],
        ),
    ]
    if any(faults):
        raise StartError(
            f"{path} does not fit its config.yaml: it {'; it '.join(filter(None, faults))}. "
            f"{_seems(found, expected)}Download the complete model of one version again"
        )


def _listed(fault: str, names: list[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in _short(names))
    more = len(names) - _SHOWN
    return f"{fault} {shown}" + (f" and {more} more" if more > 0 else "")


def _short(names: Iterable[str]) -> list[str]:
    return [name[:_NAME_LENGTH] for name in list(names)[:_SHOWN]]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _seems(found: Mapping[str, Tensor], expected: str) -> str:
    for prefix, kind in _KINDS:
        if any(name.startswith(prefix) for name in found):
            return "" if kind == expected else f"It seems to be {kind}. "
    return ""


def _check_values(path: Path, weights: Mapping[str, Tensor]) -> None:
    broken = [name for name, tensor in weights.items() if not _is_finite(tensor)]
    if broken:
        raise StartError(
            f"{path} {_listed('has infinite or undefined numbers in', broken)}: "
            "download the model again, or convert it again from float32"
        )


def _is_finite(tensor: Tensor) -> bool:
    # both ends of the range are undefined as soon as one number is
    low, high = tensor.detach().aminmax()
    return math.isfinite(low.item()) and math.isfinite(high.item())
