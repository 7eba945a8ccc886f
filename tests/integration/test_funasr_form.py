"""FunASR's upload form: what its HTTP server's clients send, and what they look at."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.integration.standin_service import SOUND, StandInService, fault_of
from voxfleet.core import Transcript, Transcription, TranscriptSegment
from voxfleet.errors import CorruptAudioError, OverloadError, VoxfleetError, WorkerLostError
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.funasr_form_api import funasr_answer
from voxfleet.gateway.http_app import create_app

ROUTE = "/recognition"
AUDIO = {"audio": ("asr_example_zh.wav", SOUND, "application/octet-stream")}


@pytest.fixture
async def client(service: StandInService, spool: Path) -> httpx.AsyncClient:
    app = create_app(service, GatewaySettings(spool, "9.9"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_text_sentences_and_code(client: httpx.AsyncClient, service: StandInService) -> None:
    response = await client.post(ROUTE, files=AUDIO)
    assert response.status_code == 200
    assert response.json() == {
        "text": "hello world",
        "sentences": [{"text": "hello world", "start": 250, "end": 1000}],
        "code": 0,
    }
    assert service.asked[0].name == "asr_example_zh.wav"


@pytest.mark.parametrize(
    "form",
    [
        {"hotword": "Zhou Li"},
        {"hotword": '{"Zhou": 20, "Li": 30}'},
        {"hotword[]": ["Zhou", "Li"]},
        {"hotwords": "Zhou, Li"},
    ],
)
async def test_hotwords_under_funasr_s_name_and_ours(
    client: httpx.AsyncClient, service: StandInService, form: dict[str, str | list[str]]
) -> None:
    response = await client.post(ROUTE, files=AUDIO, data=form | {"language": "zh", "itn": "no"})
    assert response.json()["code"] == 0
    asked = service.asked[0].recognition
    assert (asked.hotwords, asked.language) == (("Zhou", "Li"), "zh")


@pytest.mark.parametrize(
    ("fault", "code"),
    [(CorruptAudioError("broken"), 1), (OverloadError("full"), -1), (WorkerLostError("lost"), -1)],
)
async def test_a_fault_is_told_in_the_status_and_in_the_code(
    client: httpx.AsyncClient, service: StandInService, fault: VoxfleetError, code: int
) -> None:
    service.fault = fault
    response = await client.post(ROUTE, files=AUDIO)
    body = response.json()
    assert (response.status_code, body["code"], body["msg"]) == (fault.status, code, fault.message)
    assert fault_of(response)[:2] == (fault.status, fault.code)
    assert ("retry-after" in response.headers) == fault.retryable
    assert response.headers["x-should-retry"] == ("true" if fault.retryable else "false")


async def test_a_form_without_sound(client: httpx.AsyncClient) -> None:
    response = await client.post(ROUTE, files={"sound": ("a.wav", SOUND)})
    assert (response.status_code, response.json()["code"]) == (400, 1)
    assert fault_of(response)[2] == "sound"


async def test_the_inside_of_the_server_is_not_told(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    service.fault = VoxfleetError("secret")
    response = await client.post(ROUTE, files=AUDIO)
    assert (response.status_code, response.json()["code"]) == (500, -1)
    assert "secret" not in response.text


def test_sentences_are_in_the_order_of_time() -> None:
    left = Transcript(
        "a c", "en", 5.0, tuple(at(start, text) for start, text in ((0, "a"), (3, "c")))
    )
    right = Transcript("b", "en", 5.0, (at(1.2345, "b"),))
    answer = funasr_answer(Transcription("m", 5.0, (left, right)))
    assert answer["text"] == "a c\nb"
    assert answer["sentences"] == [
        {"text": "a", "start": 0, "end": 1000},
        {"text": "b", "start": 1234, "end": 2234},
        {"text": "c", "start": 3000, "end": 4000},
    ]


def at(start_s: float, text: str) -> TranscriptSegment:
    return TranscriptSegment(0, start_s, start_s + 1, text)
