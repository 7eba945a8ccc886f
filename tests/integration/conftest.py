"""The web application over ASGI around a stand-in service, for the tests of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.standin_service import StandInService
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    """Where uploads lie; after every test there must be none left."""
    folder = tmp_path / "uploads"
    yield folder
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.fixture
def app(service: StandInService, spool: Path) -> FastAPI:
    return create_app(service, GatewaySettings(spool, "9.9", max_upload_mb=2))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made
