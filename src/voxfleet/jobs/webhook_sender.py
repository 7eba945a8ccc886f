"""Sends the messages of the outbox, each until it is delivered, given up, or the server stops.

At least once: a receiver knows a repeated message by its `webhook-id`. Knows neither what a message
says nor who wrote it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx

from voxfleet.errors import VoxfleetError
from voxfleet.jobs.address_guard import guarded_client
from voxfleet.jobs.job import Delivery
from voxfleet.jobs.job_contract import Outbox
from voxfleet.jobs.outage_note import OutageNote
from voxfleet.jobs.retry_rule import pause_s
from voxfleet.jobs.webhook_rules import (
    Verdict,
    asked_wait_s,
    gives_up,
    host_of,
    next_attempt_s,
    verdict,
)
from voxfleet.jobs.webhook_signing import signed_headers, signing_key

_log = logging.getLogger(__name__)

_MOST = 20
#: else one slow receiver would hold up all others
_PER_HOST = 4
#: another server may have written a message, and one that failed may be due again
_LOOK_EVERY_S = 2.0
#: beyond an attempt, for noting how it ended
_LEASE_SLACK_S = 30.0
#: waits between the attempts to note an end; together less than the slack of the lease
_NOTE_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0, 0.0)
_MAX_ANSWER_BYTES = 64 * 1024
_STOP_MOMENT_S = 3.0
_FAULT_CHARS = 200


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How an attempt ended; `wait_s` is what the receiver asked for."""

    verdict: Verdict
    told: str
    wait_s: float = 0.0


class WebhookSender:
    """`follow` sends, on the event loop it runs on; `stop` is called once, from the same loop."""

    def __init__(
        self,
        outbox: Outbox,
        secret: str,
        allowed_networks: Sequence[str],
        timeout_s: float,
        give_up_after_h: float,
        server_id: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Without a secret nothing is sent: messages that are there stay. Raises SettingsError."""
        # it tells of every request, with its whole URL
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._outbox = outbox
        self._key = signing_key(secret) if secret else b""
        self._client = guarded_client(allowed_networks, timeout_s)
        self._timeout_s = timeout_s
        self._give_up_after_h = give_up_after_h
        self._server_id = server_id
        self._clock = clock
        #: what is being sent, and to which host
        self._sending: dict[asyncio.Task[None], str] = {}
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()

    def wake(self) -> None:
        """There may be a new message."""
        self._woken.set()

    async def follow(self) -> None:
        """Until `stop`: sends what is due."""
        if not self._key:
            await self._stopped.wait()
        outage = OutageNote("webhooks cannot be sent")
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                await self._begin_due()
            except VoxfleetError as fault:
                outage.failed(fault)
                await _first_of(self._stopped, pause_s(outage.failures))
                continue
            outage.worked()
            await _first_of(self._woken, _LOOK_EVERY_S)

    async def stop(self) -> None:
        """What is being sent is given a moment; what then is not noted is sent after its lease."""
        self._stopped.set()
        self._woken.set()
        sending = list(self._sending)
        if sending:
            await asyncio.wait(sending, timeout=_STOP_MOMENT_S)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await self._client.aclose()

    async def _begin_due(self) -> None:
        deliveries = await self._outbox.due(
            self._server_id,
            _MOST - len(self._sending),
            self._timeout_s + _LEASE_SLACK_S,
            self._clock(),
            per_host=_PER_HOST,
            sending=Counter(self._sending.values()),
        )
        if self._stopped.is_set():
            return
        for delivery in deliveries:
            task = asyncio.create_task(self._deliver(delivery), name=f"webhook {delivery.id}")
            self._sending[task] = host_of(delivery.url)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        host = self._sending.pop(task)
        # there is room for another
        self._woken.set()
        if not task.cancelled() and (fault := task.exception()):
            _log.error("%s to %s failed, it is sent again", task.get_name(), host, exc_info=fault)

    async def _deliver(self, delivery: Delivery) -> None:
        outcome = await self._attempt(delivery)
        late = gives_up(delivery.created_s, self._clock(), self._give_up_after_h)
        if outcome.verdict is Verdict.AGAIN and late:
            outcome = _Outcome(Verdict.GIVEN_UP, outcome.told)
        _tell(delivery, outcome)
        for wait_s in _NOTE_AGAIN_S:
            try:
                await self._note(delivery, outcome)
                return
            except VoxfleetError as fault:
                why = fault.message
            await asyncio.sleep(wait_s)
        _log.error("webhook %s is sent again, as its end could not be noted: %s", delivery.id, why)

    async def _note(self, delivery: Delivery, outcome: _Outcome) -> None:
        now_s = self._clock()
        if outcome.verdict is Verdict.DELIVERED:
            await self._outbox.delivered(delivery.id, now_s)
        elif outcome.verdict is Verdict.GIVEN_UP:
            await self._outbox.given_up(delivery.id, outcome.told, now_s)
        else:
            jitter = random.random()  # noqa: S311 - keeps messages apart, no secret
            wait_s = max(next_attempt_s(delivery.attempts + 1, jitter), outcome.wait_s)
            await self._outbox.postponed(delivery.id, now_s + wait_s, outcome.told)

    async def _attempt(self, delivery: Delivery) -> _Outcome:
        """What the answer's head says counts, whatever becomes of its body."""
        answers = list[_Outcome]()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._post(delivery, answers)
        except TimeoutError:
            told = f"no answer within {self._timeout_s:g} s"
        except VoxfleetError as fault:
            told = fault.message
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            told = f"{type(fault).__name__}: {fault}"
        return answers[0] if answers else _Outcome(Verdict.AGAIN, _printable(told))

    async def _post(self, delivery: Delivery, answers: list[_Outcome]) -> None:
        headers = signed_headers(self._key, delivery.id, self._clock(), delivery.body)
        async with self._client.stream(
            "POST", delivery.url, content=delivery.body, headers=_HEADERS | headers
        ) as response:
            # whoever sets cookies is not to fill the memory
            self._client.cookies.clear()
            answers.append(self._understood(response.status_code, response.headers))
            await _drop_body(response)

    def _understood(self, status: int, headers: Mapping[str, str]) -> _Outcome:
        wait_s = asked_wait_s(status, headers.get("retry-after", ""), self._clock())
        return _Outcome(verdict(status), f"answered {status}", wait_s)


#: an answer that is not packed cannot unpack into more than it is
_HEADERS = {
    "content-type": "application/json",
    "accept-encoding": "identity",
    "user-agent": "voxfleet-webhooks",
}


async def _drop_body(response: httpx.Response) -> None:
    """Read, so that the connection may be used again; one that sends much loses it instead."""
    read = 0
    async for piece in response.aiter_raw():
        read += len(piece)
        if read > _MAX_ANSWER_BYTES:
            return


async def _first_of(event: asyncio.Event, limit_s: float) -> None:
    """Until it is set, or so long."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return


def _tell(delivery: Delivery, outcome: _Outcome) -> None:
    """Of the URL only the host: whoever knows the rest may be able to speak to the receiver."""
    level, end = _TOLD_AS[outcome.verdict]
    host = host_of(delivery.url)
    _log.log(
        level,
        "webhook %s of job %s to %s: %s, %s",
        delivery.id,
        delivery.job_id,
        host,
        outcome.told,
        end,
    )


_TOLD_AS = {
    Verdict.DELIVERED: (logging.INFO, "delivered"),
    Verdict.AGAIN: (logging.WARNING, "tried again later"),
    Verdict.GIVEN_UP: (logging.ERROR, "given up"),
}


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_FAULT_CHARS])
