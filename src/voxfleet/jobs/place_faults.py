"""What a fault of a file, a bucket or a line means to whoever named the file. Pure.

A file that is not there, or not for this server, stays so; all else may pass.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from voxfleet.errors import (
    NotFoundError,
    OverloadError,
    PermissionDeniedError,
    RequestError,
    VoxfleetError,
)

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK_FULL_RETRY_S = 60.0
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_FILE = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EISDIR, errno.EINVAL})


@contextmanager
def faults_of(name: str) -> Iterator[None]:
    """`name` is what its owner calls the file; where it lies stays untold."""
    try:
        yield
    except OSError as fault:
        raise place_fault(fault, name) from fault


def place_fault(fault: OSError, name: str) -> VoxfleetError:
    if fault.errno in _DISK_FULL:
        return OverloadError(
            f"{name}: the server's disk has no room for it; try later, and tell its operator",
            retry_after_s=_DISK_FULL_RETRY_S,
        )
    if isinstance(fault, FileNotFoundError) or fault.errno in _MISSING:
        return missing(name)
    if isinstance(fault, PermissionError) or fault.errno in _DENIED:
        return denied(name)
    if fault.errno in _NO_FILE:
        return no_file(name)
    return away(name, fault.strerror or type(fault).__name__)


def missing(name: str) -> NotFoundError:
    return NotFoundError(f"{name}: there is no such file (any more); check its place and name")


def denied(name: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"{name}: this server may not do that with the file; have its place allow it"
    )


def no_file(name: str) -> RequestError:
    return RequestError(f"{name}: is no plain file; name one that is")


def away(name: str, why: str) -> OverloadError:
    return OverloadError(f"{name}: the place where it lies does not answer ({why}); try later")
