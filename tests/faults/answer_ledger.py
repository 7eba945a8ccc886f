"""Counts every request of a test: each is answered exactly once, rightly and in time.

Knows questions, whose answers are known beforehand, and a server's address; knows no fault.
"""

from __future__ import annotations

import io
import itertools
import re
import threading
import time
import wave
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.integration.worker_rig import noise, segment
from voxfleet.core import SAMPLE_RATE_HZ, RecognitionOptions
from voxfleet.engines.fake import hear

#: more than any server here gives a request
CLIENT_LIMIT_S = 100.0
#: how much later than its deadline an answer may be here: this process is busy too
SLACK_S = 3.0
#: a status, and the error's code where it is none of 200
Verdict = tuple[int, str]
#: until a line is in the log
_LOG_LIMIT_S = 10.0
RIGHT: Verdict = (200, "")
POISON: Verdict = (422, "poison")
_ids = itertools.count()
#: the line in which the server says that a request was answered with its text, by the request's id
_FINISHED = re.compile(r"\[([\w.-]+)\] POST \S+: 200 .*\bs of sound by\b")


@dataclass(frozen=True, slots=True)
class Question:
    """A recording, its one right text, and the verdicts that its case allows."""

    name: str
    body: bytes = field(repr=False)
    text: str = field(repr=False)
    hotwords: str = ""
    allowed: frozenset[Verdict] = frozenset({RIGHT})


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: Verdict
    text: str
    message: str
    retry_after: str
    took_s: float


def wav_body(samples: NDArray[np.int16], rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    kept = io.BytesIO()
    with wave.open(kept, "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return kept.getvalue()


@cache
def question(
    seed: int,
    seconds: float = 2.0,
    hotword: str = "",
    allowed: frozenset[Verdict] = frozenset({RIGHT}),
) -> Question:
    """Noise of its own, heard as one segment, with the text that the model `fake` makes of it."""
    samples = noise(seconds, seed)
    options = RecognitionOptions(hotwords=(hotword,) if hotword else ())
    text = hear(segment(samples, options=options)).text
    return Question(f"{hotword or 'plain'}-{seed}", wav_body(samples), text, hotword, allowed)


def questions(count: int, first_seed: int = 1000) -> list[Question]:
    """All unlike each other, of 0.6 to 4 s."""
    return [question(first_seed + at, 0.6 + at % 18 * 0.2) for at in range(count)]


def ask(client: httpx.Client, asked: Question, request_id: str) -> Answer:
    """One request; raises httpx.HTTPError where no answer came."""
    begun_s = time.monotonic()
    response = client.post(
        "/v1/audio/transcriptions",
        files={"file": (f"{asked.name}.wav", asked.body)},
        data={"hotwords": asked.hotwords} if asked.hotwords else {},
        headers={"x-request-id": request_id},
        timeout=CLIENT_LIMIT_S,
    )
    said = response.json()
    error = said.get("error", {})
    return Answer(
        (response.status_code, error.get("code", "")),
        said.get("text", ""),
        error.get("message", ""),
        response.headers.get("retry-after", ""),
        time.monotonic() - begun_s,
    )


class Ledger:
    """Every question that was asked, under its request's id, and what came of it."""

    def __init__(self, address: str, deadline_s: float) -> None:
        self.address = address
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._asked: dict[str, Question] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._silences: list[str] = []

    def ask(self, client: httpx.Client, asked: Question) -> Answer | None:
        request_id = f"q{next(_ids)}-{asked.name}"
        with self._lock:
            self._asked[request_id] = asked
        try:
            answer = ask(client, asked, request_id)
        except (httpx.HTTPError, ValueError) as fault:
            with self._lock:
                self._silences.append(f"{request_id}: {fault!r}")
            return None
        with self._lock:
            self._answers.setdefault(request_id, []).append(answer)
        return answer

    def ask_once(self, asked: Question) -> Answer | None:
        with httpx.Client(base_url=self.address) as client:
            return self.ask(client, asked)

    def ask_all(self, asked: Sequence[Question]) -> None:
        """All at once; returns when the last is answered."""
        threads = [threading.Thread(target=self.ask_once, args=(each,)) for each in asked]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(CLIENT_LIMIT_S)

    @property
    def answered(self) -> int:
        with self._lock:
            return sum(map(len, self._answers.values()))

    def verdicts(self, hotword: str = "") -> Counter[Verdict]:
        """Of the questions with that hotword."""
        with self._lock:
            return Counter(
                answer.verdict
                for request_id, answers in self._answers.items()
                for answer in answers
                if self._asked[request_id].hotwords == hotword
            )

    def complaints(self, server_log: Path) -> list[str]:
        """All that is not as it should be; to be read when nobody asks any more."""
        finished = self._finished(server_log)
        found = list(self._silences)
        for request_id, asked in self._asked.items():
            answers = self._answers.get(request_id, [])
            found += [f"{request_id}: {fault}" for fault in self._faults(asked, answers)]
            right = sum(answer.verdict == RIGHT for answer in answers)
            if finished[request_id] != right:
                found.append(f"{request_id}: finished {finished[request_id]} times, {right} wanted")
        return found

    def _finished(self, server_log: Path) -> Counter[str]:
        """How often the server says it has answered each request with a text.

        It says so after the answer has gone out, and a thread of its own writes it down.
        """
        end_s = time.monotonic() + _LOG_LIMIT_S
        while True:
            log = server_log.read_text(encoding="utf-8")
            finished = Counter(_FINISHED.findall(log))
            if self._right() <= finished.keys() or time.monotonic() > end_s:
                return finished
            time.sleep(0.05)

    def _right(self) -> set[str]:
        """The requests that were answered with their text."""
        with self._lock:
            return {
                request_id
                for request_id, answers in self._answers.items()
                if any(answer.verdict == RIGHT for answer in answers)
            }

    def _faults(self, asked: Question, answers: Sequence[Answer]) -> Iterator[str]:
        if len(answers) != 1:
            yield f"{len(answers)} answers"
        for answer in answers:
            if answer.verdict not in asked.allowed:
                yield f"{answer.verdict} after {answer.took_s:.1f} s: {answer.message}"
            elif answer.verdict == RIGHT and answer.text != asked.text:
                yield f"wrong text {answer.text!r} instead of {asked.text!r}"
            if answer.verdict[0] == 503 and not answer.retry_after.isdecimal():
                yield "503 without Retry-After"
            if answer.took_s > self._deadline_s + SLACK_S:
                yield f"answered after {answer.took_s:.1f} s"

    def check(self, server_log: Path) -> None:
        assert self._asked, "nothing was asked"
        complaints = self.complaints(server_log)
        assert not complaints, "\n".join([f"of {len(self._asked)} requests:", *complaints[:20]])


@contextmanager
def crowd(
    ledger: Ledger, clients: int = 8, asked: Sequence[Question] | None = None
) -> Iterator[None]:
    """So many clients ask one question after the other; ends when all have their answers."""
    drawn = itertools.cycle(asked or questions(90))
    stop = threading.Event()
    lock = threading.Lock()

    def run() -> None:
        with httpx.Client(base_url=ledger.address) as client:
            while not stop.is_set():
                with lock:
                    mine = next(drawn)
                ledger.ask(client, mine)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(CLIENT_LIMIT_S)
    assert not any(thread.is_alive() for thread in threads), "a client still waits"
