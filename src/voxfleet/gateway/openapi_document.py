"""The OpenAPI document made whole: what every route answers, with which headers, and how it fails.

FastAPI writes down paths and parameters; what comes back is known only here, in one table. A test
holds real answers to it. Knows no service and answers nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fastapi import FastAPI

from voxfleet.gateway.answer_schemas import CLIENT_SCHEMAS
from voxfleet.gateway.openapi_faults import FAULTS, HEADERS, fault_responses, funasr_fault_responses
from voxfleet.gateway.operator_schemas import OPERATOR_SCHEMAS
from voxfleet.gateway.realtime_schemas import REALTIME_SCHEMAS
from voxfleet.gateway.schema_words import Schema, ref

#: as FastAPI makes it and OpenAPI has it
Document = dict[str, Any]

_JSON, _PLAIN = "application/json", "text/plain"
_EVENTS = "text/event-stream"
_KEYED = (401, 403)
#: what any route with a file may answer
_UPLOAD = (400, *_KEYED, 404, 413, 415, 422, 429, 500, 503, 504)
_ORDER = (400, *_KEYED, 500, 503, 504)
_PUBLIC = (500, 503)
_LIMITED = ("X-Request-Timeout",)
_ASKED = (*_KEYED, 500, 503)

_DESCRIPTION = """\
A self-hosted speech-recognition server with OpenAI's API. Keys are asked for only where the server
has any; then send one as `Authorization: Bearer …`. Every error has the shape of `Error`.
"""
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key, as OpenAI's clients do."},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
#: the empty one: a server without keys asks for none
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"api-key": []}, {"x-api-key": []}]
_TAKEN: Mapping[str, Schema] = {
    "X-Request-Timeout": {
        "description": "Seconds after which the answer is of no use; the server's own limit is"
        " the longest.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    },
    "If-Match": {
        "description": "The version that is to be changed, as an ETag.",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "description": "A version that is known already; `*` is any.",
        "schema": {"type": "string"},
    },
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What one route answers: the success by media type, and the faults by status.

    Without `content` the route's own words for its success stay; `bodiless` are statuses that have
    none. `headers` come with a success, and `takes` are those of a request.
    """

    content: Mapping[str, Schema] = field(default_factory=dict)
    faults: tuple[int, ...] = _ASKED
    status: int = 200
    said: str = "The answer."
    headers: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    bodiless: Mapping[int, str] = field(default_factory=dict)
    public: bool = False
    as_funasr: bool = False
    examples: Mapping[str, object] = field(default_factory=dict)


def _json(name: str) -> Mapping[str, Schema]:
    return {_JSON: ref(name)}


_PLAIN_TEXT: Schema = {"type": "string"}
_TRANSCRIPTS: Mapping[str, Schema] = {
    _JSON: {"anyOf": [ref("Transcription"), ref("VerboseTranscription")]},
    _PLAIN: _PLAIN_TEXT,
    "text/vtt": _PLAIN_TEXT,
    "text/tab-separated-values": _PLAIN_TEXT,
    _EVENTS: {
        "type": "string",
        "description": "With stream=true: each `data:` line holds a TranscriptDelta, at the end a "
        "TranscriptDone; or an Error where it fails on the way. Lines that begin with a colon only "
        "keep the connection open.",
    },
}
_USAGE = {"type": "duration", "seconds": 4.925}
_SAID = "the meeting will begin at nine"
_TRANSCRIPT_EXAMPLES: Mapping[str, object] = {
    _JSON: {"text": _SAID, "usage": _USAGE},
    _PLAIN: f"{_SAID}\n",
    "text/vtt": f"WEBVTT\n\n00:00:00.250 --> 00:00:02.100\n{_SAID}\n",
    "text/tab-separated-values": f"start\tend\ttext\n250\t2100\t{_SAID}\n",
    _EVENTS: 'data: {"type": "transcript.text.delta", "delta": "the meeting"}\n\n',
}

_INSTANCE = Answers(_json("Instance"), (*_ORDER, 404, 409), 202, "The worker as it is now.")
_PROBE = Answers(_json("Ok"), (500,), 200, "Yes.", public=True)

#: by method and path; a route that is not here keeps what FastAPI knows of it
ROUTES: Mapping[str, Answers] = {
    "POST /v1/audio/transcriptions": Answers(
        _TRANSCRIPTS,
        _UPLOAD,
        200,
        "The text, in the format asked for.",
        ("X-Voxfleet-Warnings",),
        _LIMITED,
        examples=_TRANSCRIPT_EXAMPLES,
    ),
    "POST /v1/audio/translations": Answers({}, (400, *_KEYED, 429, 500, 503)),
    "GET /v1/models": Answers(_json("ModelList"), said="The models."),
    "GET /v1/models/{model_id}": Answers(_json("Model"), (*_ASKED, 404), said="The model."),
    "POST /asr": Answers(
        _json("AsrAnswer"), _UPLOAD, 200, "The text.", ("X-Voxfleet-Warnings",), _LIMITED
    ),
    "POST /recognition": Answers(
        _json("FunasrAnswer"),
        _UPLOAD,
        200,
        "The text.",
        ("X-Voxfleet-Warnings",),
        _LIMITED,
        as_funasr=True,
    ),
    "GET /v1/requests/{request_id}": Answers(
        _json("RequestStatus"), (*_ASKED, 404), said="How far it is.", headers=("X-Queue-Position",)
    ),
    "GET /v1/hotwords": Answers(),
    "GET /v1/hotwords/{name}": Answers(
        faults=(400, *_ASKED, 404),
        headers=("ETag",),
        takes=("If-None-Match",),
        bodiless={304: "It is the version that is known already."},
    ),
    "PUT /v1/hotwords/{name}": Answers(
        faults=(*_ORDER, 412), headers=("ETag",), takes=("If-Match", "If-None-Match")
    ),
    "DELETE /v1/hotwords/{name}": Answers(
        faults=(*_ORDER, 404, 412),
        takes=("If-Match", "If-None-Match"),
        bodiless={204: "It is gone."},
    ),
    "GET /v1/instances": Answers(_json("Instances"), said="Workers and pools."),
    "POST /v1/instances/{instance_id}/restart": _INSTANCE,
    "POST /v1/instances/{instance_id}/drain": _INSTANCE,
    "POST /v1/fleet/scale": Answers(
        _json("Scaling"), (*_ORDER, 404, 409), 202, "The order has been taken."
    ),
    "POST /v1/realtime/client_secrets": Answers(
        _json("RealtimeSecret"), (*_ORDER, 404, 429), said="The secret."
    ),
    "POST /v1/realtime/transcription_sessions": Answers(
        _json("FlatRealtimeSession"), (*_ORDER, 404, 429), said="The session and its secret."
    ),
    "POST /v1/fleet/reload": Answers(
        _json("Reloading"), (*_ORDER, 409), 202, "The order has been taken."
    ),
    "GET /v1/system": Answers(_json("System"), said="The machine."),
    "GET /metrics": Answers(
        {_PLAIN: _PLAIN_TEXT, "application/openmetrics-text": _PLAIN_TEXT}, said="For Prometheus."
    ),
    "GET /health": Answers(_json("Health"), (500,), 200, "How the server is.", public=True),
    "GET /livez": _PROBE,
    "GET /readyz": Answers(_json("Ok"), _PUBLIC, 200, "Requests can be answered.", public=True),
    "GET /": Answers(_json("Index"), (500,), 200, "What this server is.", public=True),
}
_PROBES = ("/health", "/livez", "/readyz")


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` give the whole document, made once."""
    generate = app.openapi

    @cache
    def document() -> Document:
        return complete(generate())

    app.openapi = document  # type: ignore[method-assign]


def complete(generated: Document) -> Document:
    """FastAPI's document with every answer in it; `generated` is left as it is."""
    return {
        **generated,
        "info": {**generated["info"], "description": _DESCRIPTION},
        "paths": {path: _path_item(path, item) for path, item in generated["paths"].items()},
        "components": _components(generated.get("components", {})),
        "security": _SECURITY,
    }


def _path_item(path: str, item: Document) -> Document:
    described = {
        method: _operation(f"{method.upper()} {path}", operation)
        for method, operation in item.items()
    }
    return described | ({"head": _head(described["get"])} if path in _PROBES else {})


def _operation(route: str, operation: Document) -> Document:
    answers = ROUTES.get(route, Answers())
    # FastAPI's own 422 has a shape that nobody answers with: here a bad parameter is a 400
    known = {s: r for s, r in operation["responses"].items() if s != "422" and _says_much(r)}
    successes = {s: {**r, "headers": _headers(answers)} for s, r in known.items()}
    faults = (funasr_fault_responses if answers.as_funasr else fault_responses)(answers.faults)
    responses = {**_success(answers), **successes, **faults}
    described = {**operation, "responses": dict(sorted(responses.items()))}
    if answers.takes:
        taken = [{"name": name, "in": "header", **_TAKEN[name]} for name in answers.takes]
        described["parameters"] = [*operation.get("parameters", []), *taken]
    return described | ({"security": []} if answers.public else {})


def _says_much(response: Document) -> bool:
    """FastAPI writes an empty schema where nobody told it what comes."""
    contents = response.get("content", {}).values()
    return "$ref" in response or any(content.get("schema") for content in contents)


def _success(answers: Answers) -> Document:
    responses = {
        str(status): {"description": said, "headers": _headers(answers)}
        for status, said in answers.bodiless.items()
    }
    if answers.content:
        content = {
            kind: {"schema": schema, **_example(answers, kind)}
            for kind, schema in answers.content.items()
        }
        responses[str(answers.status)] = {
            "description": answers.said,
            "headers": _headers(answers),
            "content": content,
        }
    return responses


def _headers(answers: Answers) -> Document:
    return {
        name: {"$ref": f"#/components/headers/{name}"}
        for name in ("X-Request-Id", *answers.headers)
    }


def _example(answers: Answers, kind: str) -> Document:
    return {"example": answers.examples[kind]} if kind in answers.examples else {}


def _head(get: Document) -> Document:
    """The same answers without their bodies."""
    responses = {
        status: {"description": f"As GET answers {status}; without a body."}
        for status in get["responses"]
    }
    return {**get, "operationId": f"head_{get['operationId']}", "responses": responses}


def _components(generated: Document) -> Document:
    schemas = {
        name: schema
        for name, schema in generated.get("schemas", {}).items()
        if name not in ("HTTPValidationError", "ValidationError")
    }
    return {
        **generated,
        "schemas": {**CLIENT_SCHEMAS, **OPERATOR_SCHEMAS, **REALTIME_SCHEMAS, **schemas},
        "responses": FAULTS,
        "headers": HEADERS,
        "securitySchemes": _SECURITY_SCHEMES,
    }
