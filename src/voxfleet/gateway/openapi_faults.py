"""How requests fail, in OpenAPI's words: one answer for each status, and the headers of answers.

Knows statuses and what they mean to a client; knows no route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from voxfleet.gateway.http_errors import error_type
from voxfleet.gateway.schema_words import Schema, ref


@dataclass(frozen=True, slots=True)
class _Fault:
    """One status: when it is given, a code as an example of it, and the headers it brings."""

    said: str
    code: str
    headers: tuple[str, ...] = ()


_NO_RETRY = ("x-should-retry",)
_RETRY = ("Retry-After", "x-should-retry")

_FAULTS: Mapping[int, _Fault] = {
    400: _Fault(
        "The request can never succeed as it is; `param` names the field.", "invalid_value"
    ),
    401: _Fault(
        "No key, or one that is unknown or revoked.", "invalid_api_key", ("WWW-Authenticate",)
    ),
    403: _Fault("The key may not do this, or a web page gave an order.", "missing_scope"),
    404: _Fault("There is no such object or model.", "not_found"),
    409: _Fault("The devices have no memory for so many workers.", "does_not_fit", _NO_RETRY),
    412: _Fault("It has been changed meanwhile.", "version_mismatch"),
    413: _Fault("Too many bytes, or more sound than can be answered in time.", "audio_too_large"),
    415: _Fault("No decoder knows these bytes.", "not_audio"),
    422: _Fault("Sound that cannot be read or recognised.", "corrupt_audio", _NO_RETRY),
    429: _Fault("The key's own limit.", "rate_limit_exceeded", _RETRY),
    500: _Fault("A fault of the server; its log has the details.", "internal_error", _NO_RETRY),
    503: _Fault("No room now, not ready, or stopping.", "overloaded", _RETRY),
    504: _Fault(
        "Not done within the time allowed, or sent too slowly.", "deadline_passed", _NO_RETRY
    ),
}

HEADERS: dict[str, Schema] = {
    name: {"description": description, "schema": schema}
    for name, description, schema in (
        (
            "X-Request-Id",
            "The client's own where it is sane, else a new one; the log has the same.",
            {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        ),
        (
            "Retry-After",
            "Seconds after which it may be tried again.",
            {"type": "integer", "minimum": 1},
        ),
        (
            "x-should-retry",
            "Tells OpenAI's clients whether to try again.",
            {"type": "string", "enum": ["true", "false"]},
        ),
        ("WWW-Authenticate", "How a key is sent.", {"type": "string"}),
        ("X-Voxfleet-Warnings", "The warnings, in ASCII and parted by `; `.", {"type": "string"}),
        (
            "X-Queue-Position",
            "The same as queue_position, where it is known.",
            {"type": "integer", "minimum": 0},
        ),
        ("ETag", "The version of the list.", {"type": "string"}),
    )
}


def _answer(status: int, fault: _Fault) -> Schema:
    error = {"message": fault.said, "type": error_type(status), "param": None, "code": fault.code}
    return {
        "description": fault.said,
        "headers": {
            name: {"$ref": f"#/components/headers/{name}"}
            for name in ("X-Request-Id", *fault.headers)
        },
        "content": {"application/json": {"schema": ref("Error"), "example": {"error": error}}},
    }


FAULTS: dict[str, Schema] = {
    f"Fault{status}": _answer(status, fault) for status, fault in _FAULTS.items()
}


def fault_responses(statuses: Iterable[int]) -> dict[str, Schema]:
    return {str(status): {"$ref": f"#/components/responses/Fault{status}"} for status in statuses}


def funasr_fault_responses(statuses: Iterable[int]) -> dict[str, Schema]:
    """The route for FunASR's clients tells most faults in their way too."""
    content = {"application/json": {"schema": {"anyOf": [ref("FunasrError"), ref("Error")]}}}
    return {str(status): {**FAULTS[f"Fault{status}"], "content": content} for status in statuses}
