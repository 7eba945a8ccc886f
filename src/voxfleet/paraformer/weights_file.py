"""A file of PyTorch weights as named tensors; never a line of its code is run.

Knows no model: any tensors by any names.
"""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from voxfleet.errors import StartError

_ZIP = b"PK\x03\x04"
#: what torch.save wrote before 1.6: a pickle without any archive around it
_OLD_PICKLE = b"\x80\x02"
_HEAD_BYTES = 64
_REMEDY = "download the model again"
#: under one of these names trainers keep the weights beside their own state
_WRAPPERS = ("state_dict", "model_state_dict", "model")
#: whatever a broken or hostile file makes PyTorch's reader stumble over
_FAULTS = (
    pickle.PickleError,
    zipfile.BadZipFile,
    struct.error,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    ImportError,
    MemoryError,
)


def read_weights(path: Path, *, mapped: bool) -> dict[str, Tensor]:
    """The tensors by name, on the CPU, in the precision of the file; raises StartError.

    `mapped` tensors are pages of the file, read when first needed: for what is mostly not needed,
    as whoever overwrites the file in place changes them.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as fault:
        raise StartError(
            f"{path} cannot be read ({fault.strerror}): correct path and permissions"
        ) from fault
    try:
        mappable = _is_archive(path, head)
        content = _loaded(path, mapped=mapped and mappable)
    except pickle.UnpicklingError as fault:
        raise _refused(
            path, "holds more than tensors, or is damaged; none of it was run"
        ) from fault
    except _FAULTS as fault:
        raise _refused(path, f"is damaged or half downloaded ({_one_line(fault)})") from fault
    weights = _named_tensors(path, content)
    _check_honest(path, weights)
    return weights


def _loaded(path: Path, *, mapped: bool) -> object:
    with warnings.catch_warnings():
        # about old or odd formats; what counts is whether tensors come out
        warnings.simplefilter("ignore")
        content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    return content


def _is_archive(path: Path, head: bytes) -> bool:
    """True for today's format, False for the one before it, which cannot be mapped."""
    if head.startswith(_ZIP):
        _check_archive(path)
        return True
    if head.startswith(_OLD_PICKLE):
        return False
    raise _refused(path, _other_format(head), "run git lfs pull, or " if _is_pointer(head) else "")


def _check_archive(path: Path) -> None:
    """Archives of torch.save are stored as they are; packed ones could unpack to anything."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if not any(name.endswith("/data.pkl") for name in names):
        raise _refused(path, "is a ZIP archive without PyTorch weights")
    if any(name.endswith("/constants.pkl") for name in names):
        raise _refused(path, "is a TorchScript export, not a checkpoint")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _refused(path, "is a compressed archive, which PyTorch does not write")


def _is_pointer(head: bytes) -> bool:
    return head.startswith(b"version https://git-lfs")


def _other_format(head: bytes) -> str:
    if not head:
        return "is empty"
    if _is_pointer(head):
        return "is a Git LFS pointer, not the weights themselves"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**27:
        return "is a safetensors file, not PyTorch weights"
    if head.lstrip()[:1] == b"<":
        return "is a web page, not PyTorch weights"
    if head[:1] == b"\x08" and b"\x12" in head[2:4]:
        return "seems to be an ONNX model, not PyTorch weights"
    return "is not in PyTorch's format"


def _named_tensors(path: Path, content: object) -> dict[str, Tensor]:
    content = _unwrapped(content)
    if not isinstance(content, dict) or not content:
        raise _refused(path, "holds no weights by name")
    weights: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _refused(path, f"holds {_shown(name)}, which is no tensor by name")
        weights[name] = value
    return weights


def _unwrapped(content: object) -> object:
    if isinstance(content, dict):
        for wrapper in _WRAPPERS:
            if isinstance(content.get(wrapper), dict):
                return content[wrapper]
    return content


def _check_honest(path: Path, weights: dict[str, Tensor]) -> None:
    """A few bytes seen through strides can claim to be gigabytes."""
    plain = [
        tensor.layout == torch.strided and tensor.device.type == "cpu"
        for tensor in weights.values()
    ]
    if not all(plain) or sum(tensor.nbytes for tensor in weights.values()) > path.stat().st_size:
        raise _refused(path, "claims more weights than it holds")


def _refused(path: Path, fault: str, first: str = "") -> StartError:
    return StartError(f"{path} {fault}: {first}{_REMEDY}")


def _shown(name: object) -> str:
    return ascii(name)[:80] if isinstance(name, str) else f"a name of type {type(name).__name__}"


def _one_line(fault: BaseException) -> str:
    text = " ".join(str(fault).split())
    return text[:160] or type(fault).__name__
