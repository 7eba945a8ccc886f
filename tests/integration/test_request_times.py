"""How long a request may take, as its client asks; and whose it is, for a fair share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.integration.standin_service import FILE, TRANSCRIBE, StandInService, fault_of
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
async def client(service: StandInService, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(service, GatewaySettings(tmp_path, "9.9", request_timeout_s=100))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


@pytest.mark.parametrize(
    ("headers", "limit_s"),
    [({}, 100), ({"X-Request-Timeout": "7"}, 7), ({"x-request-timeout": "1000"}, 100)],
)
async def test_the_time_allowed(
    client: httpx.AsyncClient, service: StandInService, headers: dict[str, str], limit_s: float
) -> None:
    assert (await client.post(TRANSCRIBE, files=FILE, headers=headers)).status_code == 200
    assert service.asked[0].timeout_s == limit_s
    assert service.asked[0].client == "127.0.0.1"


async def test_no_time_is_refused_before_the_upload(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    refused = await client.post(TRANSCRIBE, files=FILE, headers={"X-Request-Timeout": "soon"})
    assert fault_of(refused) == (400, "invalid_value", "X-Request-Timeout")
    assert refused.headers["connection"] == "close"
    assert service.asked == []
