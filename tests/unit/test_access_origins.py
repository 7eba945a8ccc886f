"""Orders from web pages while there is no key: only pages that cannot be a stranger's."""

from __future__ import annotations

import pytest

from tests.unit.access_rig import ASR, App, FixedKeys, ask, bearer, guarded
from voxfleet.gateway.access import Access


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:7860", 200),
        ("http://app.localhost", 200),
        ("http://127.0.0.1:7860", 200),
        ("http://[::1]:7860", 200),
        ("http://192.168.1.5:7860", 200),
        ("https://desk.example.com", 200),
        ("http://desk.example.com", 403),
        ("http://evil.example:7860", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://127.0.0.1@evil.example", 403),
        ("http://[::1", 403),
        ("http://0x7f.1", 403),
        ("null", 403),
        ("", 403),
        ("*", 403),
    ],
)
@pytest.mark.parametrize(
    "order",
    [
        ("POST", "/v1/instances/w/restart"),
        ("POST", "/v1/fleet/reload"),
        ("PUT", "/v1/hotwords/a"),
        ("DELETE", "/v1/hotwords/a"),
    ],
)
async def test_a_page_from_elsewhere_gives_no_orders(
    origin: str | None, status: int, order: tuple[str, str]
) -> None:
    access = Access(App(), FixedKeys({}, any_ever=False), ("https://desk.example.com",))
    headers = [] if origin is None else [("origin", origin), ("host", "evil.example:7860")]
    assert (await ask(access, *order, *headers)).status == status


async def test_what_is_no_order_is_open_to_pages_and_a_key_is_enough() -> None:
    origin = ("origin", "http://evil.example")
    unkeyed = guarded(keys=FixedKeys({}, any_ever=False))
    assert (await ask(unkeyed, *ASR, origin)).status == 200
    assert (await ask(unkeyed, "GET", "/v1/instances", origin)).status == 200
    assert (await ask(guarded(), "POST", "/v1/fleet/reload", origin, bearer("admin"))).status == 200


async def test_any_page_that_may_read_is_not_any_page_that_may_order() -> None:
    access = Access(App(), FixedKeys({}, any_ever=False), ("*",))
    reload = ("POST", "/v1/fleet/reload")
    assert (await ask(access, *reload, ("origin", "http://evil.example"))).status == 403
    assert (await ask(access, *reload, ("origin", "*"))).status == 403
