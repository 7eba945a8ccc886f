"""A server with the `fake` engine, and clients that load it: Poisson arrivals or a fixed number.

Made recordings, one request each, and what became of it. Judges nothing.
"""

from __future__ import annotations

import asyncio
import io
import time
import wave
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import msgspec
import numpy as np

from voxfleet.core import SAMPLE_RATE_HZ

SEED = 5
ROUTE = "/v1/audio/transcriptions"
#: longer than any deadline given to a server here: whoever is not answered by then is lost
CLIENT_TIMEOUT_S = 100.0
#: made once: clients must cost the machine little
_RECORDINGS = 64


@dataclass(frozen=True, slots=True)
class Recording:
    duration_s: float
    wav: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """One request's end, in seconds of one clock; status 0 is no HTTP answer, told by `fault`.

    `late_s` is how long after its time of arrival the client came to send it.
    """

    sent_s: float
    ended_s: float
    late_s: float
    audio_s: float
    status: int
    retry_after: str = ""
    fault: str = ""

    @property
    def answered(self) -> bool:
        return self.status == 200

    @property
    def took_s(self) -> float:
        return self.ended_s - self.sent_s


class _Row(msgspec.Struct):
    audio_s: float
    x_realtime: float | None


class _Rows(msgspec.Struct):
    data: list[_Row]


@dataclass(frozen=True, slots=True)
class Worked:
    """What one worker has recognised since it was started, and the time that took."""

    audio_s: float
    compute_s: float


def recordings(least_s: float, most_s: float) -> list[Recording]:
    """Lengths spread evenly, in no order."""
    random = np.random.default_rng(SEED)
    lengths = random.permutation(np.linspace(least_s, most_s, _RECORDINGS))
    return [_recording(float(length), random) for length in lengths]


def _recording(duration_s: float, random: np.random.Generator) -> Recording:
    samples = random.integers(-3000, 3000, round(duration_s * SAMPLE_RATE_HZ)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(samples.tobytes())
    return Recording(len(samples) / SAMPLE_RATE_HZ, file.getvalue())


class Crowd:
    """The clients of one server; `ended` is what became of all their requests."""

    def __init__(self, client: httpx.AsyncClient, sounds: list[Recording]) -> None:
        self._client = client
        self._sounds = sounds
        self._random = np.random.default_rng(SEED)
        self.ended: list[Answered] = []

    async def closed(self, at_once: int, seconds: float) -> None:
        """So many clients, each asks again as soon as it is answered."""
        end_s = time.monotonic() + seconds

        async def ask() -> None:
            while time.monotonic() < end_s:
                await self._ask(time.monotonic())

        await asyncio.gather(*(ask() for _ in range(at_once)))

    async def poisson(self, a_second: float, seconds: float) -> None:
        """Requests come whatever becomes of the others; returns when all have ended."""
        now_s = time.monotonic()
        end_s = now_s + seconds
        due_s = now_s
        async with asyncio.TaskGroup() as asked:
            while (due_s := due_s + float(self._random.exponential(1 / a_second))) < end_s:
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                asked.create_task(self._ask(due_s))

    async def worked(self) -> list[Worked]:
        answer = await self._client.get("/v1/instances")
        rows = msgspec.json.decode(answer.raise_for_status().content, type=_Rows).data
        return [Worked(row.audio_s, row.audio_s / (row.x_realtime or 1.0)) for row in rows]

    async def _ask(self, due_s: float) -> None:
        sound = self._sounds[int(self._random.integers(len(self._sounds)))]
        sent_s = time.monotonic()
        status, retry_after, fault = 0, "", ""
        try:
            answer = await self._client.post(
                ROUTE, files={"file": ("talk.wav", sound.wav)}, data={"model": "fake"}
            )
            status, retry_after = answer.status_code, answer.headers.get("retry-after", "")
            if status not in (200, 503):
                fault = answer.text
        except httpx.HTTPError as error:
            fault = repr(error)
        ended_s = time.monotonic()
        self.ended.append(
            Answered(sent_s, ended_s, sent_s - due_s, sound.duration_s, status, retry_after, fault)
        )


async def with_crowd(
    address: str, sounds: list[Recording], work: Callable[[Crowd], Awaitable[None]]
) -> list[Answered]:
    """What became of the requests of `work`."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(
        base_url=address, timeout=CLIENT_TIMEOUT_S, limits=limits
    ) as client:
        crowd = Crowd(client, sounds)
        await work(crowd)
    return crowd.ended
