"""Webhooks while the database is away and when the server stops: sent at least once."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.webhook_receiver import receiving, until
from tests.integration.webhook_rig import NOW_S, FailingOutbox, WebhookRig, webhook_rig
from voxfleet.jobs import webhook_sender


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[WebhookRig]:
    async with webhook_rig(tmp_path) as made:
        yield made


async def test_a_database_that_was_away_has_lost_nothing(
    rig: WebhookRig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outbox = FailingOutbox(rig.outbox, looks=2)
    async with receiving() as receiver:
        rig.write(receiver.url())
        async with rig.sending(outbox=outbox):
            assert (await rig.tried()).delivered
    assert outbox.failed == ["look", "look"]
    assert caplog.text.count("database is away") == 1


async def test_an_end_that_could_not_be_noted_is_noted_later(rig: WebhookRig) -> None:
    outbox = FailingOutbox(rig.outbox, notes=1)
    async with receiving() as receiver:
        rig.write(receiver.url())
        async with rig.sending(outbox=outbox):
            assert (await rig.tried()).delivered
    assert outbox.failed == ["note"]
    assert len(receiver.received) == 1


async def test_an_end_that_is_never_noted_means_a_second_sending(
    rig: WebhookRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "_NOTE_AGAIN_S", (0.0,))
    outbox = FailingOutbox(rig.outbox, notes=1)
    async with receiving() as receiver:
        rig.write(receiver.url())
        async with rig.sending(outbox=outbox) as sender:
            await until(lambda: outbox.failed == ["note"])
            assert rig.row().server == "a"
            rig.now_s = rig.row().next_s
            sender.wake()
            assert (await rig.tried()).delivered
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 1
    assert len(receiver.received) == 2


async def test_a_stop_lets_an_attempt_end(rig: WebhookRig) -> None:
    async with receiving(b"HTTP/1.1 200 OK\r\n\r\n", endless=b".", pause_s=0.1) as receiver:
        rig.write(receiver.url())
        async with rig.sending(timeout_s=0.5):
            await until(lambda: receiver.open_now == 1)
    assert rig.row().delivered


async def test_a_stop_does_not_wait_for_a_silent_receiver(
    rig: WebhookRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sender, "_STOP_MOMENT_S", 0.1)
    async with receiving(None) as receiver:
        rig.write(receiver.url())
        async with rig.sending(timeout_s=60):
            await until(lambda: receiver.open_now == 1)
        await until(lambda: receiver.open_now == 0)
    row = rig.row()
    assert (row.attempts, row.ended_s) == (0, None)
    assert row.next_s == NOW_S + 60 + 30
