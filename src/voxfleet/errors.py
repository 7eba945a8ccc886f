"""Every error voxfleet raises on purpose, in one tree; knows no transport and no wording of HTTP.

VoxfleetError                  500  server   the root; also what an unforeseen fault becomes
├── UsageError                 400  client   a flag, a path or a folder given on the command line
├── SettingsError              400  client   a setting that is unknown or has a bad value
├── StartError                 500  server   the server cannot start: port, data directory, model
│   └── PlanError              409  client   so many workers do not fit on the devices there are
├── RequestError               400  client   a request that can never succeed as it is
│   ├── ParameterError         400  client   one parameter has a value nobody understands
│   ├── NotFoundError          404  client   no such route or object
│   │   └── ModelNotFoundError 404  client   no such model is served here
│   ├── MethodError            405  client   the route exists, the method does not
│   ├── AuthenticationError    401  client   no key, or one that is unknown or revoked
│   ├── PermissionDeniedError  403  client   a key that may not do this
│   ├── ConflictError          409  client   the request and what is there exclude each other
│   ├── VersionError           412  client   what is to be changed has been changed meanwhile
│   └── RateLimitError         429  client   a key's own limit; retry_after_s says when (retryable)
├── AudioError                 422  client   the sound itself; the message names file and fault
│   ├── EmptyAudioError        400  client   no bytes, or not one sample
│   ├── NotAudioError          415  client   no decoder knows these bytes
│   ├── UnsupportedAudioError  415  client   known, but not something we can decode; says what to do
│   ├── CorruptAudioError      422  client   a known format that breaks off before the first sample
│   ├── AudioTooLargeError     413  client   more bytes than server.max_upload_mb
│   └── AudioTooLongError      413  client   more sound than time or rules allow
├── RecognitionError           422  client   the engine could not make text of one segment
│   ├── PoisonError            422  client   sound that ended the model's process, again and again
│   └── EngineFaultError       500  server   the engine broke on it: no memory, a bug
│       └── AlignmentError     500  server   a punctuated text is not the text it was made of
├── OverloadError              503  server   no room now; retry_after_s says when (retryable)
│   └── NotReadyError          503  server   no worker is ready yet, or the server is stopping
├── DeviceFaultError           500  server   a GPU is of no use any more to the process that says so
├── WorkerLostError            503  server   a worker died or hung with work in hand (retryable)
├── DeadlineError              504  server   the time allowed for the request has passed
└── CancelledError             499  client   whoever asked is gone

Each class carries its HTTP status, a stable `code`, whether the same request may succeed later
(`retryable`) and whose fault it is. An error crosses a process as (code, message, param) and is
rebuilt by `rebuild`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    CLIENT = "client"
    SERVER = "server"


class VoxfleetError(Exception):
    """The root. `message` names the thing, the fault and the remedy in one line."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    fault: ClassVar[Fault] = Fault.SERVER

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class UsageError(VoxfleetError):
    status, code, fault = 400, "usage", Fault.CLIENT


class SettingsError(VoxfleetError):
    status, code, fault = 400, "invalid_setting", Fault.CLIENT


class StartError(VoxfleetError):
    code = "cannot_start"


class PlanError(StartError):
    status, code, fault = 409, "does_not_fit", Fault.CLIENT


class RequestError(VoxfleetError):
    status, code, fault = 400, "bad_request", Fault.CLIENT


class ParameterError(RequestError):
    code = "invalid_value"


class NotFoundError(RequestError):
    status, code = 404, "not_found"


class ModelNotFoundError(NotFoundError):
    code = "model_not_found"


class MethodError(RequestError):
    status, code = 405, "method_not_allowed"


class AuthenticationError(RequestError):
    status, code = 401, "invalid_api_key"


class PermissionDeniedError(RequestError):
    status, code = 403, "missing_scope"


class ConflictError(RequestError):
    status, code = 409, "conflict"


class VersionError(RequestError):
    status, code = 412, "version_mismatch"


class RateLimitError(RequestError):
    status, code, retryable = 429, "rate_limit_exceeded", True


class AudioError(VoxfleetError):
    status, code, fault = 422, "unprocessable_audio", Fault.CLIENT


class EmptyAudioError(AudioError):
    status, code = 400, "empty_audio"


class NotAudioError(AudioError):
    status, code = 415, "not_audio"


class UnsupportedAudioError(AudioError):
    status, code = 415, "unsupported_audio"


class CorruptAudioError(AudioError):
    code = "corrupt_audio"


class AudioTooLargeError(AudioError):
    status, code = 413, "audio_too_large"


class AudioTooLongError(AudioError):
    status, code = 413, "audio_too_long"


class RecognitionError(VoxfleetError):
    status, code, fault = 422, "recognition_failed", Fault.CLIENT


class PoisonError(RecognitionError):
    code = "poison"


class EngineFaultError(RecognitionError):
    status, code, fault = 500, "engine_fault", Fault.SERVER


class AlignmentError(EngineFaultError):
    code = "text_misaligned"


class OverloadError(VoxfleetError):
    status, code, retryable = 503, "overloaded", True


class NotReadyError(OverloadError):
    code = "not_ready"


class DeviceFaultError(VoxfleetError):
    """Raised by an engine whose device cannot compute any more: its process must end."""

    code = "device_fault"


class WorkerLostError(VoxfleetError):
    """`blames_work` is False where the work in hand certainly or possibly had no part in it."""

    status, code, retryable = 503, "worker_lost", True

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        blames_work: bool = True,
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.blames_work = blames_work


class DeadlineError(VoxfleetError):
    status, code = 504, "deadline_passed"


class CancelledError(VoxfleetError):
    status, code, fault = 499, "cancelled", Fault.CLIENT


def _descendants(root: type[VoxfleetError]) -> list[type[VoxfleetError]]:
    found = [root]
    for child in root.__subclasses__():
        found.extend(_descendants(child))
    return found


#: the whole tree by code; a test proves codes unique and the drawing above complete
BY_CODE: dict[str, type[VoxfleetError]] = {kind.code: kind for kind in _descendants(VoxfleetError)}


def rebuild(code: str, message: str, param: str | None = None) -> VoxfleetError:
    """The error that another process named by `code`; an unknown code becomes the root."""
    return BY_CODE.get(code, VoxfleetError)(message, param=param)
