"""OpenAI's own realtime clients, unmodified, in both dialects, and the secrets they make."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import httpx
import pytest
from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus

from tests.integration.realtime_rig import live, realtime_app, talking
from tests.integration.standin_service import StandInService
from tests.integration.test_realtime_api import UTTERANCE
from tests.unit.access_rig import DESK, KEYS, NARROW, FixedKeys
from voxfleet.gateway.client_secrets import ClientSecrets
from voxfleet.media.live_sound import SoundEncoding
from voxfleet.transcribe.session_contract import SessionOptions

SOUND = base64.b64encode(bytes(4_800)).decode()


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
async def address(service: StandInService) -> AsyncIterator[str]:
    async with live(realtime_app(service)) as made:
        yield made


@pytest.fixture
async def keyed(service: StandInService) -> AsyncIterator[str]:
    by_id = {key.id: key for key in KEYS.values()}
    app = realtime_app(service, FixedKeys(KEYS), ClientSecrets(by_id.get))
    async with live(app) as made:
        yield made


def client_of(address: str, key: str = "none") -> AsyncOpenAI:
    return AsyncOpenAI(
        api_key=key,
        base_url=f"http://{address}/v1",
        websocket_base_url=f"ws://{address}/v1",
        max_retries=0,
        _strict_response_validation=True,
    )


async def test_todays_client(service: StandInService, address: str) -> None:
    query = {"intent": "transcription"}
    async with (
        client_of(address) as client,
        client.realtime.connect(model="whisper-1", extra_query=query) as connection,
    ):
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(
            session={
                "type": "transcription",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                        "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
                    }
                },
            }
        )
        assert (await connection.recv()).type == "session.updated"
        await connection.input_audio_buffer.append(audio=SOUND)
        service.sessions.opened[0].on_commit = list(UTTERANCE)
        await connection.input_audio_buffer.commit()
        async for event in connection:
            if event.type == "conversation.item.input_audio_transcription.completed":
                break
        assert event.type == "conversation.item.input_audio_transcription.completed"
        assert (event.transcript, event.usage.type) == ("hello world", "duration")
    assert service.sessions.opened[0].options.turns.silence_s == 0.3
    assert len(service.sessions.opened[0].sound) == 4_800


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_beta_client(service: StandInService, address: str) -> None:
    query = {"intent": "transcription"}
    async with (
        client_of(address) as client,
        client.beta.realtime.connect(model="whisper-1", extra_query=query) as connection,
    ):
        assert (await connection.recv()).type == "session.created"
        await connection.transcription_session.update(
            session={
                "input_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "gpt-4o-transcribe"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
            }
        )
        assert (await connection.recv()).type == "transcription_session.updated"
        service.sessions.opened[0].tell(*UTTERANCE)
        kinds = [(await connection.recv()).type for _ in range(6)]
        assert kinds[-2:] == [
            "conversation.item.created",
            "conversation.item.input_audio_transcription.completed",
        ]
    assert service.sessions.opened[0].options.sound.encoding is SoundEncoding.ULAW


async def test_a_secret_carries_its_settings(service: StandInService, keyed: str) -> None:
    async with client_of(keyed, "desk") as client:
        made = await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={
                "type": "transcription",
                "audio": {"input": {"transcription": {"language": "zh", "keywords": ["Zyn"]}}},
            },
        )
    assert made.value.startswith("ek_")
    assert made.session.type == "transcription"
    protocols = ("realtime", f"openai-insecure-api-key.{made.value}")
    async with talking(keyed, "language=en", protocols=protocols) as page:
        await page.next()
        options: SessionOptions = service.sessions.opened[0].options
        assert options.client == f"key:{DESK.id}"
        assert options.recognition.language == "en"
        assert options.recognition.hotwords == ("Zyn",)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {made.value}"}) as page_itself:
        assert (
            await page_itself.post(f"http://{keyed}/v1/realtime/client_secrets")
        ).status_code == 401


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_secret_of_the_beta(service: StandInService, address: str) -> None:
    async with client_of(address) as client:
        made = await client.beta.realtime.transcription_sessions.create(
            input_audio_format="g711_alaw", input_audio_transcription={"model": "whisper-1"}
        )
    async with talking(address, f"api_key={made.client_secret.value}") as page:
        await page.next()
        assert service.sessions.opened[0].options.sound.encoding is SoundEncoding.ALAW


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"content-type": "text/plain"}, "{}", 400, "bad_request"),
        ({}, '{"expires_after": {"seconds": 5}}', 400, "invalid_value"),
        ({}, '{"session": {"type": "realtime"}}', 400, "invalid_value"),
        (
            {},
            '{"session": {"audio": {"input": {"transcription": {"model": "none"}}}}}',
            404,
            "model_not_found",
        ),
        ({}, " " * 300_000, 400, "bad_request"),
    ],
)
async def test_a_secret_that_is_refused(
    address: str, headers: dict[str, str], body: str, status: int, code: str
) -> None:
    sent = {"content-type": "application/json", **headers}
    async with httpx.AsyncClient() as client:
        url = f"http://{address}/v1/realtime/client_secrets"
        response = await client.post(url, content=body, headers=sent)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_keys_of_websockets_and_their_limits(service: StandInService, keyed: str) -> None:
    for query, protocols in (
        ("key=desk", ()),
        ("", ("realtime", "openai-insecure-api-key.desk")),
    ):
        async with talking(keyed, query, protocols=protocols) as client:
            await client.next()
    with pytest.raises(InvalidStatus) as refused:
        async with talking(keyed, "", protocols=("openai-insecure-api-key.ek_unknown",)):
            pass
    assert refused.value.response.status_code == 401
    assert NARROW.concurrent == 1
    async with talking(keyed, "token=narrow") as client:
        await client.next()
        with pytest.raises(InvalidStatus) as refused:
            async with talking(keyed, "token=narrow"):
                pass
        assert refused.value.response.status_code == 429
        assert "retry-after" in refused.value.response.headers
    # whoever has closed one finds its place free at once
    async with talking(keyed, "token=narrow") as client:
        await client.next()


async def test_no_key_is_logged(
    service: StandInService, keyed: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "voxfleet.access")
    async with talking(keyed, "api_key=desk&intent=transcription") as client:
        await client.next()
        await client.socket.send("?")
        await client.error()
    async with asyncio.timeout(5):
        while "key:d1" not in caplog.text:
            await asyncio.sleep(0.01)
    assert "desk" not in caplog.text
    assert "api_key" not in caplog.text
