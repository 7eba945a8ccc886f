"""Which faults of a place may pass, and that none of them tells where a file lies."""

from __future__ import annotations

import errno
import os

import pytest

from voxfleet.errors import (
    NotFoundError,
    OverloadError,
    PermissionDeniedError,
    RequestError,
    VoxfleetError,
)
from voxfleet.jobs.place_faults import faults_of

PLACE = "/srv/in/hidden.wav"
MEANS: dict[int, type[VoxfleetError]] = {
    errno.ENOENT: NotFoundError,
    errno.ENOTDIR: NotFoundError,
    errno.EACCES: PermissionDeniedError,
    errno.EPERM: PermissionDeniedError,
    errno.EROFS: PermissionDeniedError,
    errno.ELOOP: RequestError,
    errno.ENAMETOOLONG: RequestError,
    errno.ENXIO: RequestError,
    errno.ENOSPC: OverloadError,
    errno.EDQUOT: OverloadError,
    errno.EIO: OverloadError,
    errno.ESTALE: OverloadError,
    errno.ETIMEDOUT: OverloadError,
    errno.EMFILE: OverloadError,
    errno.ECONNRESET: OverloadError,
}


def told(fault: OSError) -> VoxfleetError:
    with pytest.raises(VoxfleetError) as raised, faults_of("talk.wav"):
        raise fault
    assert raised.value.message.startswith("talk.wav: ")
    assert "hidden" not in raised.value.message
    return raised.value


@pytest.mark.parametrize(("code", "kind"), MEANS.items(), ids=errno.errorcode.get)
def test_a_fault_has_its_meaning(code: int, kind: type[VoxfleetError]) -> None:
    fault = told(OSError(code, os.strerror(code), PLACE))
    assert type(fault) is kind
    assert fault.retryable is (kind is OverloadError)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_one(code: int) -> None:
    assert "no room" in told(OSError(code, os.strerror(code))).message


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (FileNotFoundError("hidden"), NotFoundError),
        (PermissionError("hidden"), PermissionDeniedError),
        (TimeoutError("hidden"), OverloadError),
        (OSError("hidden"), OverloadError),
    ],
)
def test_a_fault_without_a_number_is_understood(fault: OSError, kind: type[VoxfleetError]) -> None:
    """As file systems of fsspec raise them."""
    assert type(told(fault)) is kind


def test_other_faults_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), faults_of("talk.wav"):
        raise ZeroDivisionError
