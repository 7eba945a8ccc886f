"""A client that waits asks how far its request is."""

from __future__ import annotations

import httpx

from tests.integration.standin_service import StandInService, fault_of
from voxfleet.core import RequestProgress


async def test_place_and_state_are_told(client: httpx.AsyncClient, service: StandInService) -> None:
    service.under_way["mine"] = RequestProgress("queued", 3, 12.0)
    answer = await client.get("/v1/requests/mine")
    assert answer.json() == {
        "id": "mine",
        "state": "queued",
        "queue_position": 3,
        "decoded_s": 12.0,
    }
    assert answer.headers["x-queue-position"] == "3"


async def test_what_runs_has_no_place(client: httpx.AsyncClient, service: StandInService) -> None:
    service.under_way["mine"] = RequestProgress("running", None, 60.0)
    answer = await client.get("/v1/requests/mine")
    assert (answer.json()["state"], answer.json()["queue_position"]) == ("running", None)
    assert "x-queue-position" not in answer.headers


async def test_what_is_not_here_is_not_found(client: httpx.AsyncClient) -> None:
    assert fault_of(await client.get("/v1/requests/gone")) == (404, "not_found", None)
