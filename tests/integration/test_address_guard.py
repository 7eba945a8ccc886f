"""Which hosts the guarded client connects to, on real sockets and with names that it is told."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.integration.made_certificate import make_certificate
from tests.integration.webhook_receiver import OK, receiving, status
from voxfleet.errors import PermissionDeniedError
from voxfleet.jobs.address_guard import Resolve, guarded_client

LOCAL = ("127.0.0.0/8",)


class Names:
    """A name server: each question takes the next answer, the last one from then on."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def get(
    url: str, resolve: Resolve | None = None, allowed: Sequence[str] = LOCAL, timeout_s: float = 5
) -> httpx.Response:
    async with guarded_client(allowed, timeout_s, resolve) as client:
        return await client.get(url)


async def test_an_allowed_address_is_reached_under_its_name() -> None:
    async with receiving() as receiver:
        names = Names(["127.0.0.1"])
        url = receiver.url("hook.example", path="/a?b=c")
        answer = await get(url, names.resolve)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert receiver.received[0].path == "/a?b=c"
    assert receiver.received[0].headers["host"] == f"hook.example:{receiver.port}"
    assert names.asked == [("hook.example", receiver.port)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
async def test_a_private_address_is_refused_however_it_is_written(host: str) -> None:
    async with receiving() as receiver:
        with pytest.raises(PermissionDeniedError, match=r"webhooks\.allowed_networks"):
            await get(receiver.url(host), allowed=())
    assert receiver.connections == 0


async def test_a_name_with_one_private_address_is_refused() -> None:
    async with receiving() as receiver:
        names = Names(["1.1.1.1", "127.0.0.1"])
        with pytest.raises(PermissionDeniedError, match=r"hook\.example") as refused:
            await get(receiver.url("hook.example"), names.resolve, allowed=())
    assert receiver.connections == 0
    assert "127.0.0.1" not in refused.value.message


async def test_the_address_that_was_judged_is_the_one_connected_to() -> None:
    async with receiving() as receiver:
        names = Names(["127.0.0.2", "127.0.0.1"], ["10.0.0.1"])
        # nobody listens at the first
        assert (await get(receiver.url("hook.example"), names.resolve)).status_code == 200
    assert len(names.asked) == 1


async def test_a_name_is_judged_again_for_each_connection() -> None:
    async with receiving(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")) as receiver:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        async with guarded_client(LOCAL, 5, names.resolve) as client:
            await client.get(receiver.url("hook.example"))
            with pytest.raises(PermissionDeniedError):
                await client.get(receiver.url("hook.example"))
    assert receiver.connections == 1


async def test_a_connection_is_used_again() -> None:
    async with receiving() as receiver, guarded_client(LOCAL, 5) as client:
        for _ in range(3):
            await client.get(receiver.url())
    assert receiver.connections == 1


async def test_a_redirect_is_an_answer_like_others() -> None:
    async with receiving(status(302, "location: /elsewhere")) as receiver:
        assert (await get(receiver.url())).status_code == 302
    assert len(receiver.received) == 1


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving(status(500)) as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert (await get(receiver.url())).status_code == 200
    assert proxy.connections == 0


async def test_no_cookie_is_kept() -> None:
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    async with receiving(answer) as receiver, guarded_client(LOCAL, 5) as client:
        await client.get(receiver.url())
        await client.get(receiver.url())
        assert len(client.cookies) == 0
    assert "cookie" not in receiver.received[1].headers


@pytest.mark.parametrize(("name", "fits"), [("localhost", True), ("hook.example", False)])
async def test_a_certificate_is_checked_against_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fits: bool
) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard: list[str] = []
    context.sni_callback = lambda _, server_name, __: heard.append(server_name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with receiving(context=context) as receiver:
        url = receiver.url(name, scheme="https")
        if fits:
            assert (await get(url, Names(["127.0.0.1"]).resolve)).status_code == 200
        else:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await get(url, Names(["127.0.0.1"]).resolve)
    assert heard == [name]


@pytest.mark.parametrize("fault", [OSError("no such name"), UnicodeError("too long")])
async def test_a_name_without_address_is_a_fault_of_the_connection(fault: Exception) -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise fault

    with pytest.raises(httpx.ConnectError, match="no address"):
        await get("http://hook.example/", resolve)
    with pytest.raises(httpx.ConnectError, match="no address"):
        await get("http://hook.example/", Names([]).resolve)


async def test_a_silent_name_server_costs_no_more_than_the_limit() -> None:
    silent = threading.Event()

    def resolve(host: str, port: int) -> Sequence[str]:
        silent.wait(10)
        return ["127.0.0.1"]

    began_s = asyncio.get_running_loop().time()
    try:
        with pytest.raises(httpx.ConnectTimeout):
            await get("http://hook.example/", resolve, timeout_s=0.2)
        assert asyncio.get_running_loop().time() - began_s < 5
    finally:
        silent.set()


async def test_a_silent_receiver_times_out() -> None:
    async with receiving(None) as receiver:
        with pytest.raises(httpx.ReadTimeout):
            await get(receiver.url(), timeout_s=0.2)


async def test_an_answer_that_stops_half_way_times_out() -> None:
    async with receiving(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf") as receiver:
        with pytest.raises(httpx.ReadTimeout):
            await get(receiver.url(), timeout_s=0.2)
