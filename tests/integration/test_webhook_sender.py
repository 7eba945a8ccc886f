"""Webhooks over real sockets: signed, sent at least once, and no receiver harms another."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.made_certificate import make_certificate
from tests.integration.webhook_receiver import OK, Received, receiving, status, until
from tests.integration.webhook_rig import BODY, KEY, NOW_S, SECRET, WebhookRig, webhook_rig
from voxfleet.jobs import webhook_sender


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(tmp_path) as made:
        yield made


def signature(received: Received) -> str:
    headers = received.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received.body
    return "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()


async def test_a_message_arrives_signed_and_whole(rig: WebhookRig) -> None:
    async with receiving() as receiver:
        [name] = rig.write(receiver.url(path="/hook?key=k"))
        async with rig.sending():
            row = await rig.tried()
    [received] = receiver.received
    assert (received.path, received.body) == ("/hook?key=k", BODY)
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == name
    assert received.headers["webhook-timestamp"] == str(int(NOW_S))
    assert received.headers["webhook-signature"] == signature(received)
    assert (row.delivered, row.ended_s) == (True, NOW_S)


async def test_a_failed_message_is_sent_again_under_its_id_and_a_new_time(rig: WebhookRig) -> None:
    async with receiving(status(500), OK) as receiver:
        rig.write(receiver.url())
        async with rig.sending() as sender:
            row = await rig.tried()
            assert (row.attempts, row.delivered, row.last_fault) == (1, False, "answered 500")
            assert 4 <= row.next_s - NOW_S <= 6
            rig.now_s = row.next_s
            sender.wake()
            await until(lambda: rig.row().delivered)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert second.headers["webhook-timestamp"] > first.headers["webhook-timestamp"]
    assert second.headers["webhook-signature"] == signature(second)


async def test_a_receiver_that_is_gone_for_good_is_asked_once(rig: WebhookRig) -> None:
    async with receiving(status(410)) as receiver:
        rig.write(receiver.url())
        async with rig.sending():
            row = await rig.tried()
    assert (row.delivered, row.ended_s, row.last_fault) == (False, NOW_S, "answered 410")


async def test_a_redirect_is_not_followed(rig: WebhookRig) -> None:
    async with receiving() as elsewhere:
        async with receiving(status(307, f"location: {elsewhere.url()}")) as receiver:
            rig.write(receiver.url())
            async with rig.sending():
                row = await rig.tried()
        assert (row.attempts, row.ended_s, row.last_fault) == (1, None, "answered 307")
        assert elsewhere.connections == 0


async def test_a_receiver_that_asks_for_time_gets_it(rig: WebhookRig) -> None:
    async with receiving(status(503, "retry-after: 900")) as receiver:
        rig.write(receiver.url())
        async with rig.sending():
            row = await rig.tried()
    assert row.next_s == NOW_S + 900


async def test_a_receiver_that_never_answers_is_left_after_the_time_it_has(rig: WebhookRig) -> None:
    async with receiving(None) as receiver:
        rig.write(receiver.url())
        async with rig.sending(timeout_s=0.2):
            row = await rig.tried()
    assert (row.attempts, row.last_fault) == (1, "no answer within 0.2 s")
    assert len(receiver.received) == 1


async def test_a_receiver_that_is_not_there_is_tried_again(rig: WebhookRig) -> None:
    async with receiving() as receiver:
        pass
    rig.write(receiver.url())
    async with rig.sending():
        row = await rig.tried()
    assert (row.attempts, row.ended_s) == (1, None)
    assert "ConnectError" in row.last_fault


async def test_what_is_no_http_is_a_failed_attempt(rig: WebhookRig) -> None:
    async with receiving(b"\x00\x1b[31m SMTP ready\r\n\r\n") as receiver:
        rig.write(receiver.url())
        async with rig.sending():
            row = await rig.tried()
    assert (row.attempts, row.ended_s) == (1, None)
    assert row.last_fault.isprintable()


async def test_an_endless_answer_is_cut_off(rig: WebhookRig) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    async with receiving(head, endless=bytes(65536)) as receiver:
        rig.write(receiver.url())
        async with rig.sending(timeout_s=30):
            row = await rig.tried()
            await until(lambda: receiver.open_now == 0)
    assert row.delivered
    # what was read, and what the sockets of both sides hold
    assert receiver.sent_bytes < 20_000_000


async def test_an_answer_that_trickles_has_been_answered(rig: WebhookRig) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    async with receiving(head, endless=b".", pause_s=0.02) as receiver:
        rig.write(receiver.url())
        async with rig.sending(timeout_s=0.3):
            assert (await rig.tried()).delivered


async def test_cookies_of_a_receiver_are_not_kept(rig: WebhookRig) -> None:
    async with receiving(status(200, "set-cookie: a=b; Path=/")) as receiver:
        rig.write(receiver.url(), receiver.url())
        async with rig.sending() as sender:
            await until(lambda: all(row.delivered for row in rig.rows()))
            rig.write(receiver.url())
            sender.wake()
            await until(lambda: len(receiver.received) == 3)
    assert not any("cookie" in received.headers for received in receiver.received)


async def test_one_slow_receiver_does_not_hold_up_another(
    rig: WebhookRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "_STOP_MOMENT_S", 0.1)
    async with receiving(None) as slow, receiving() as quick:
        rig.write(*(slow.url() for _ in range(30)))
        rig.write(*(quick.url("localhost") for _ in range(10)))
        async with rig.sending(timeout_s=30):
            await until(lambda: sum(row.delivered for row in rig.rows()) == 10)
            await until(lambda: slow.open_now == 4)
    assert slow.most_open == 4
    assert not any(row.attempts for row in rig.rows())


async def test_a_private_address_is_not_even_connected_to(rig: WebhookRig) -> None:
    async with receiving() as receiver:
        rig.write(receiver.url("localhost"))
        async with rig.sending(allowed=["10.0.0.0/8"]):
            row = await rig.tried()
    assert receiver.connections == 0
    assert (row.attempts, row.ended_s) == (1, None)
    assert "webhooks.allowed_networks" in row.last_fault


async def test_a_certificate_nobody_vouches_for_is_refused(rig: WebhookRig, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path, "stranger"))
    async with receiving(context=context) as receiver:
        rig.write(receiver.url("localhost", scheme="https"))
        async with rig.sending():
            row = await rig.tried()
    assert receiver.received == []
    assert "CERTIFICATE_VERIFY_FAILED" in row.last_fault


async def test_an_old_message_is_tried_once_and_given_up(rig: WebhookRig) -> None:
    async with receiving(status(500)) as receiver:
        rig.write(receiver.url(), created_s=NOW_S - 72 * 3600)
        async with rig.sending():
            row = await rig.tried()
    assert len(receiver.received) == 1
    assert (row.delivered, row.ended_s, row.last_fault) == (False, NOW_S, "answered 500")


async def test_a_new_message_is_sent_when_it_is_told_of(
    rig: WebhookRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "_LOOK_EVERY_S", 3600.0)
    async with receiving() as receiver, rig.sending() as sender:
        await asyncio.sleep(0.1)
        rig.write(receiver.url())
        sender.wake()
        assert (await rig.tried()).delivered


async def test_without_a_secret_nothing_is_sent(rig: WebhookRig) -> None:
    async with receiving() as receiver:
        rig.write(receiver.url())
        async with rig.sending(secret="") as sender:
            sender.wake()
            await asyncio.sleep(0.2)
    assert receiver.connections == 0
    assert rig.row().ended_s is None


async def test_the_log_tells_no_secret_and_no_text(
    rig: WebhookRig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving(OK, status(500), status(410)) as receiver:
        url = receiver.url(path="/hidden-path?token=hidden-token")
        rig.write(url, url, url)
        async with rig.sending():
            await until(lambda: all(row.attempts or row.delivered for row in rig.rows()))
    for secret in ("hidden-path", "hidden-token", "会议", SECRET[6:]):
        assert secret not in caplog.text
    assert "msg_000 of job job_1 to 127.0.0.1: answered 200, delivered" in caplog.text
