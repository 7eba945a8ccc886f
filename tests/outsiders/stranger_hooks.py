"""What schemathesis is told of this server that OpenAPI cannot say: sound, and what is right.

Loaded by schemathesis in a process of its own. Every exception stands here with its reason.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterable, Mapping
from typing import Protocol

import schemathesis
from hypothesis import strategies as st


class Case(Protocol):
    """What is read of a generated request; schemathesis itself is known only where it runs."""

    @property
    def headers(self) -> Iterable[str] | None: ...


class Answer(Protocol):
    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, object]: ...
    @property
    def content(self) -> bytes: ...


#: field or parameter -> why a value that its schema allows may be refused with 400
BEYOND_A_SCHEMA = {
    "language": "which languages there are is the model's to say",
    "languages": "as language",
    "hotwords": "phrases are counted and measured after they have been parted; lists have names",
    "keywords": "as hotwords",
    "hotword": "as hotwords",
    "sample_rate": "needed with one input_format and refused with another",
    "channels": "as sample_rate",
    "channel": "split cannot be streamed, and mono sound has no right channel",
    "punctuate": "only where the server has a model for it",
    "itn": "only where the server is set up for it",
    "stream": "not with every response_format",
    "include[]": "only with json",
    "timestamp_granularities[]": "word only with verbose_json and with a model that tells them",
    "name": "letters of any script: no pattern says that to every program alike",
    "model": "no model translates, and /v1/audio/translations tells that to everybody",
    "pool": "which pools there are is the server's to say",
    "instances": "JSON Schema takes 4.0 for an integer; an order is to be written plainly",
    "seconds": "as instances",
    "rate": "each format has its own",
    "prefix_padding_ms": "as instances",
    "silence_duration_ms": "as instances",
    "idle_timeout_ms": "as instances",
    "words": "phrases are measured after they have been parted",
    "file": "an empty recording is well-formed and has nothing in it",
    "audio": "as file",
}


def wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(samples * 2)
    return file.getvalue()


schemathesis.openapi.media_type("audio/wav", st.binary(min_size=800, max_size=8_000).map(wav))


def filter_failure(context: object, failure: object, case: Case, response: Answer) -> bool:
    """False for what is right although schemathesis cannot know it."""
    return not _is_right(failure, case, response)


schemathesis.hook(filter_failure)


def _is_right(failure: object, case: Case, response: Answer) -> bool:
    kind = type(failure).__name__
    if kind == "ServerError":
        return _is_busy(response) or (response.status_code == 504 and _has_time_limit(case))
    if kind == "AcceptedNegativeData":
        # HTTP has it that headers which nobody knows are passed over
        return "in header - object with unexpected properties" in str(failure)
    return kind == "RejectedPositiveData" and _is_beyond(response)


def _is_busy(response: Answer) -> bool:
    """Full, or an order is under way: said with the time after which to come again."""
    return response.status_code == 503 and "retry-after" in response.headers


def _has_time_limit(case: Case) -> bool:
    """It was given a moment only, and had it."""
    return any(name.lower() == "x-request-timeout" for name in case.headers or ())


def _is_beyond(response: Answer) -> bool:
    if response.status_code == 412:
        # which version there is, and whether there is one, is the list's to say
        return True
    if response.status_code != 400:
        return False
    error = json.loads(response.content)["error"]
    # a name that no form can carry, such as one of control characters
    field = (error["param"] or "").rpartition(".")[2]
    return field in BEYOND_A_SCHEMA or "has no name" in error["message"]
