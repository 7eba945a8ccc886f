"""The OpenAPI document is true: every route is really asked, and each answer is as it is written.

Against a real server; status, content type, headers and body of every answer are held to the
document by somebody else's JSON Schema validator.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.outsiders.outsider_rig import SMALL_CARD, StrangersServer, strangers_server
from tests.outsiders.stranger_sound import noise

JsonObject = dict[str, Any]

TRANSCRIBE = "/v1/audio/transcriptions"
FAULTS = {"VOXFLEET_FAKE__FAULT": "broken@kaputt,error@unreadable"}
SETTINGS = {**SMALL_CARD, **FAULTS, "VOXFLEET_SERVER__MAX_UPLOAD_MB": "1"}
LIST = "/v1/hotwords/{name}"
#: routes with a file, and the field it comes in
UPLOADS = {TRANSCRIBE: "file", "/asr": "audio", "/recognition": "audio"}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, the status it is to have, and the route as the document names it."""

    status: int
    method: str
    path: str
    route: str = ""
    sent: JsonObject = field(default_factory=dict)

    @property
    def operation(self) -> tuple[str, str]:
        return self.route or self.path, self.method.lower()


def upload(status: int, path: str, sound: bytes, **fields: str) -> Ask:
    files = {UPLOADS[path]: ("talk.wav", sound)}
    return Ask(status, "POST", path, sent={"files": files, "data": fields})


def uploads() -> Iterator[Ask]:
    sound = noise(1.2)
    for path in UPLOADS:
        yield upload(200, path, sound, vad="off")
        yield upload(200, path, sound, vad="off", hotwords="a", language="en")
        yield upload(400, path, sound, vad="loud")
        yield upload(400, path, b"")
        yield upload(404, path, sound, model="nonesuch")
        yield upload(413, path, bytes(3_000_000))
        yield upload(415, path, b"Dear Sir or Madam, " * 50)
        yield upload(422, path, sound, vad="off", hotwords="unreadable")
        yield upload(500, path, sound, vad="off", hotwords="kaputt")
    for wanted in ("json", "verbose_json", "text", "srt", "vtt", "tsv"):
        yield upload(200, TRANSCRIBE, sound, vad="off", response_format=wanted)
    yield upload(
        200,
        TRANSCRIBE,
        sound,
        vad="off",
        response_format="verbose_json",
        **{"timestamp_granularities[]": "word"},
    )
    yield upload(200, TRANSCRIBE, sound, vad="off", **{"include[]": "logprobs"})
    yield upload(200, TRANSCRIBE, sound, vad="off", stream="true")
    yield Ask(400, "POST", "/v1/audio/translations", sent={"files": {"file": ("a.wav", sound)}})


def operators() -> Iterator[Ask]:
    restart, drain = (f"/v1/instances/{{instance_id}}/{order}" for order in ("restart", "drain"))
    yield Ask(200, "GET", "/v1/instances")
    yield Ask(202, "POST", "/v1/fleet/scale", sent={"json": {"instances": 2}})
    yield Ask(400, "POST", "/v1/fleet/scale", sent={"json": {"instances": 0}})
    yield Ask(400, "POST", "/v1/fleet/scale", sent={"data": {"instances": "2"}})
    yield Ask(404, "POST", "/v1/fleet/scale", sent={"json": {"instances": 2, "pool": "x"}})
    yield Ask(409, "POST", "/v1/fleet/scale", sent={"json": {"instances": 200}})
    yield Ask(202, "POST", "/v1/fleet/reload")
    yield Ask(202, "POST", "/v1/instances/fake-0/restart", restart)
    yield Ask(202, "POST", "/v1/instances/fake-0/drain", drain)
    yield Ask(404, "POST", "/v1/instances/x/restart", restart)
    yield Ask(404, "POST", "/v1/instances/x/drain", drain)
    yield Ask(200, "GET", "/v1/system")


def hotword_lists() -> Iterator[Ask]:
    path = "/v1/hotwords/products"
    yield Ask(404, "GET", path, LIST)
    yield Ask(201, "PUT", path, LIST, {"json": {"words": ["Zyntrix", "Digique Plus"]}})
    yield Ask(200, "PUT", path, LIST, {"json": {"words": "Zyntrix"}})
    yield Ask(400, "PUT", path, LIST, {"json": {"words": ["w" * 51]}})
    yield Ask(412, "PUT", path, LIST, {"json": {"words": ["a"]}, "headers": {"If-Match": '"999"'}})
    yield Ask(200, "GET", path, LIST)
    yield Ask(200, "GET", "/v1/hotwords")
    yield Ask(204, "DELETE", path, LIST)
    yield Ask(404, "DELETE", path, LIST)


def all_else() -> Iterator[Ask]:
    for path in ("/health", "/livez", "/readyz"):
        yield Ask(200, "GET", path)
        yield Ask(200, "HEAD", path)
    yield Ask(200, "GET", "/")
    yield Ask(200, "GET", "/metrics")
    yield Ask(200, "GET", "/v1/models")
    yield Ask(200, "GET", "/v1/models/fake", "/v1/models/{model_id}")
    yield Ask(404, "GET", "/v1/models/x", "/v1/models/{model_id}")
    yield Ask(404, "GET", "/v1/requests/x", "/v1/requests/{request_id}")
    wrong = {"expires_after": 7, "client_secret": 7}
    for secret in ("client_secrets", "transcription_sessions"):
        yield Ask(200, "POST", f"/v1/realtime/{secret}")
        yield Ask(400, "POST", f"/v1/realtime/{secret}", sent={"json": wrong})


#: in this order: the last ones leave the server without a worker
ASKED = (*all_else(), *uploads(), *hotword_lists(), *operators())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrangersServer]:
    with strangers_server(tmp_path_factory.mktemp("server"), SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: StrangersServer) -> JsonObject:
    with server.client() as client:
        told: JsonObject = client.get("/openapi.json").raise_for_status().json()
        return told


def resolved(document: JsonObject, node: JsonObject) -> JsonObject:
    if "$ref" not in node:
        return node
    found: JsonObject = document
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def faults_of(document: JsonObject, ask: Ask, answer: httpx.Response) -> list[str]:
    """Where the answer and the document differ."""
    path, method = ask.operation
    responses = document["paths"].get(path, {}).get(method, {}).get("responses", {})
    if str(answer.status_code) not in responses:
        return [f"status {answer.status_code} is not told: {answer.text[:200]}"]
    told = resolved(document, responses[str(answer.status_code)])
    missing = [
        f"header {name} is missing"
        for name in ("x-request-id", *_always(answer.status_code))
        if name not in answer.headers
    ]
    return missing + _faults_of_body(document, told, answer)


def _always(status: int) -> tuple[str, ...]:
    return ("x-should-retry",) if status in (422, 500) else ()


def _faults_of_body(document: JsonObject, told: JsonObject, answer: httpx.Response) -> list[str]:
    content = told.get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not content or answer.request.method == "HEAD":
        return [f"a body of {len(answer.content)} bytes"] if answer.content else []
    if kind not in content:
        return [f"content type {kind!r} is not told, but {sorted(content)}"]
    if kind == "text/event-stream":
        return _faults_of_events(document, answer.text)
    if kind != "application/json":
        return []
    return _faults_of_json(document, content[kind]["schema"], answer.json())


def _faults_of_events(document: JsonObject, page: str) -> list[str]:
    events = [json.loads(line[6:]) for line in page.splitlines() if line.startswith("data: ")]
    named = {"transcript.text.delta": "TranscriptDelta", "transcript.text.done": "TranscriptDone"}
    if [event["type"] for event in events[-1:]] != ["transcript.text.done"]:
        return [f"the last event is not done: {page[-200:]}"]
    return [
        fault
        for event in events
        for fault in _faults_of_json(
            document, {"$ref": f"#/components/schemas/{named[event['type']]}"}, event
        )
    ]


def _faults_of_json(document: JsonObject, told: JsonObject, body: object) -> list[str]:
    schema = {**told, "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(body)]


def test_every_answer_is_as_it_is_written(server: StrangersServer, document: JsonObject) -> None:
    wrong: list[str] = []
    with server.client() as client:
        for ask in ASKED:
            answer = client.request(ask.method, ask.path, **ask.sent)
            faults = faults_of(document, ask, answer)
            if answer.status_code != ask.status:
                faults.append(f"answered {answer.status_code}: {answer.text[:200]}")
            wrong += [f"{ask.method} {ask.path} ({ask.status}): {fault}" for fault in faults]
    assert not wrong, "\n".join(wrong)


def test_every_operation_is_asked(document: JsonObject) -> None:
    told = {(path, method) for path, item in document["paths"].items() for method in item}
    assert told == {ask.operation for ask in ASKED}


def test_examples_are_what_they_exemplify(document: JsonObject) -> None:
    checked = 0
    for item in document["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                content = resolved(document, response).get("content", {})
                for media in content.values():
                    checked += _check_example(document, media)
    assert checked > 10


def _check_example(document: JsonObject, media: JsonObject) -> int:
    if "example" not in media:
        return 0
    schema = {**media["schema"], "components": document["components"]}
    jsonschema_rs.Draft202012Validator(schema).validate(media["example"])
    return 1


def test_the_document_is_one(document: JsonObject) -> None:
    """Every reference leads somewhere, and every schema is one that a validator takes."""
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
    ids = [o["operationId"] for item in document["paths"].values() for o in item.values()]
    assert len(ids) == len(set(ids))
