"""The OpenAPI document as a whole: every route told, nothing promised that nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from voxfleet.core import VadMode
from voxfleet.errors import BY_CODE, ParameterError
from voxfleet.gateway.answer_schemas import CLIENT_SCHEMAS
from voxfleet.gateway.api_schemas import GatewaySettings, SpeechService
from voxfleet.gateway.form_fields import FormFields, read_audio_options
from voxfleet.gateway.form_schema import asr_form, funasr_form, openai_form
from voxfleet.gateway.http_app import create_app
from voxfleet.gateway.openapi_document import ROUTES, complete
from voxfleet.gateway.operator_schemas import OPERATOR_SCHEMAS

JsonObject = dict[str, Any]

#: an operation as FastAPI writes it where it knows nothing of the answer
UNTOLD: JsonObject = {
    "operationId": "x",
    "responses": {
        "200": {"description": "Successful Response", "content": {"application/json": {}}},
        "422": {"description": "Validation Error"},
    },
}


def completed(*routes: str, operation: JsonObject = UNTOLD) -> JsonObject:
    paths: JsonObject = {}
    for route in routes:
        method, path = route.split()
        paths.setdefault(path, {})[method.lower()] = operation
    return complete({"openapi": "3.1.0", "info": {"title": "t", "version": "0"}, "paths": paths})


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from references(child)


def resolves(document: JsonObject, reference: str) -> bool:
    node: object = document
    for name in reference.removeprefix("#/").split("/"):
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True


@pytest.fixture(scope="module")
def real() -> JsonObject:
    """The document of the real application."""
    nobody = cast("SpeechService", object())
    return complete(create_app(nobody, GatewaySettings(Path("/nowhere"), "0")).openapi())


def operations(document: JsonObject) -> dict[str, JsonObject]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_real_route_says_what_it_answers(real: JsonObject) -> None:
    mute = [
        route
        for route, operation in operations(real).items()
        if not any(status.startswith("2") for status in operation["responses"])
    ]
    # no model can translate: it has nothing but an error to give
    assert [route for route in mute if route != "POST /v1/audio/translations"] == []


def test_every_reference_leads_somewhere(real: JsonObject) -> None:
    everything = completed(*ROUTES)
    for document in (real, everything):
        assert [r for r in references(document) if not resolves(document, r)] == []


def test_fastapis_own_error_shape_is_gone(real: JsonObject) -> None:
    assert "HTTPValidationError" not in str(real)
    assert "422" not in completed("GET /v1/models")["paths"]["/v1/models"]["get"]["responses"]


def test_what_a_route_tells_itself_stays() -> None:
    told = {"200": {"description": "Mine.", "content": {"text/x": {"schema": {"type": "string"}}}}}
    item = completed("GET /v1/models", operation=UNTOLD | {"responses": told})["paths"]
    assert item["/v1/models"]["get"]["responses"]["200"]["description"] == "Mine."


def test_a_route_nobody_knows_promises_no_success() -> None:
    responses = completed("GET /new")["paths"]["/new"]["get"]["responses"]
    assert set(responses) == {"401", "403", "500", "503"}


def test_the_given_document_is_left_alone() -> None:
    before = str(UNTOLD)
    completed("GET /health", "POST /asr")
    assert str(UNTOLD) == before


def test_probes_answer_head_too_under_an_id_of_its_own() -> None:
    item = completed("GET /readyz")["paths"]["/readyz"]
    assert set(item["head"]["responses"]) == set(item["get"]["responses"])
    assert "content" not in str(item["head"]["responses"])
    assert item["head"]["operationId"] != item["get"]["operationId"]
    assert "head" not in completed("GET /v1/models")["paths"]["/v1/models"]


def test_probes_ask_for_no_key_and_all_else_takes_one() -> None:
    document = completed(*ROUTES)
    open_routes = {
        route for route, told in operations(document).items() if told.get("security") == []
    }
    probes = {
        f"{method} {path}"
        for path in ("/health", "/livez", "/readyz")
        for method in ("GET", "HEAD")
    }
    assert open_routes == probes | {"GET /"}
    keyless = [
        route
        for route, told in operations(document).items()
        if route not in open_routes and not {"401", "403"} <= set(told["responses"])
    ]
    assert keyless == []
    assert {} in document["security"]


def test_every_status_of_an_error_is_told_somewhere() -> None:
    told = {
        int(status)
        for operation in operations(completed(*ROUTES)).values()
        for status in operation["responses"]
    }
    given = {kind.status for kind in BY_CODE.values()}
    # a wrong method has no operation to be told at, and 499 is answered to nobody
    assert given - told == {405, 499}


def test_examples_of_errors_are_of_real_codes() -> None:
    for name, response in completed()["components"]["responses"].items():
        error = response["content"]["application/json"]["example"]["error"]
        kind = BY_CODE[error["code"]]
        assert f"Fault{kind.status}" == name
        assert set(error) == {"message", "type", "param", "code"}


def test_no_schema_is_there_twice_and_each_is_used_or_an_event() -> None:
    assert set(CLIENT_SCHEMAS) & set(OPERATOR_SCHEMAS) == set()
    document = completed(*ROUTES)
    used = {reference.rsplit("/", 1)[-1] for reference in references(document)}
    schemas = set(document["components"]["schemas"])
    # inside server-sent events, where no reference can be written
    assert schemas - used == {"TranscriptDelta", "TranscriptDone"}


def test_a_versioned_route_tells_its_tag_and_its_answers_without_a_body() -> None:
    said = {"200": {"description": "x", "content": {"application/json": {"schema": {"a": 1}}}}}
    path = "/v1/hotwords/{name}"
    document = completed(f"GET {path}", operation=UNTOLD | {"responses": said})
    told = document["paths"][path]["get"]
    assert {"X-Request-Id", "ETag"} == set(told["responses"]["200"]["headers"])
    assert "content" not in told["responses"]["304"]
    assert [parameter["name"] for parameter in told["parameters"]] == ["If-None-Match"]


def test_funasrs_clients_are_told_of_faults_in_their_way() -> None:
    document = completed("POST /recognition", "POST /asr")
    told = document["paths"]["/recognition"]["post"]["responses"]["415"]
    assert "FunasrError" in str(told["content"])
    assert "FunasrError" not in str(document["paths"]["/asr"])


def test_forms_differ_in_their_file_field_and_their_own_fields() -> None:
    def fields(form: JsonObject) -> set[str]:
        schema = form["requestBody"]["content"]["multipart/form-data"]["schema"]
        return set(schema["properties"])

    shared = fields(asr_form()) - {"audio", "file"}
    assert fields(openai_form()) - shared == {
        "file",
        "response_format",
        "timestamp_granularities[]",
        "stream",
        "chunking_strategy",
        "include[]",
    }
    assert fields(funasr_form()) - shared == {"audio", "file", "hotword"}


def test_uploads_may_say_how_long_they_wait() -> None:
    operation = UNTOLD | openai_form()
    document = completed("POST /v1/audio/transcriptions", operation=operation)
    names = [p["name"] for p in document["paths"]["/v1/audio/transcriptions"]["post"]["parameters"]]
    assert names == ["X-Request-Timeout"]


@pytest.mark.parametrize("field", ["sample_rate", "channels"])
def test_numbers_have_the_limits_that_are_told(field: str) -> None:
    schema = openai_form()["requestBody"]["content"]["multipart/form-data"]["schema"]
    told = schema["properties"][field]

    def read(value: int) -> None:
        given = {"input_format": "pcm_s16le", "sample_rate": "16000", field: str(value)}
        read_audio_options(FormFields(tuple(given.items())), VadMode.AUTO)

    read(told["minimum"])
    read(told["maximum"])
    for outside in (told["minimum"] - 1, told["maximum"] + 1):
        with pytest.raises(ParameterError):
            read(outside)


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/asr", "/v1/fleet/scale"])
def test_a_wrong_method_is_told_every_right_one(path: str) -> None:
    nobody = cast("SpeechService", object())
    app = create_app(nobody, GatewaySettings(Path("/nowhere"), "0"))
    taken = {method.upper() for method in complete(app.openapi())["paths"][path]}
    answer = TestClient(app).request("TRACE", path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == taken
    assert answer.headers["allow"] in answer.json()["error"]["message"]
