"""What a program does with OpenAI's own client, run by the interpreter that has that client.

    python openai_scenarios.py BASE_URL KEY FILE SCENARIO...

Prints one JSON object: the client's version, and what each scenario gave or raised. Imports nothing
of ours, as the older client lives in an environment without it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import openai
from openai import OpenAI

Result = object
Scenario = Callable[[OpenAI, Path], Result]

_requests_sent = 0


def _count(_request: object) -> None:
    global _requests_sent  # noqa: PLW0603  (the only thing a hook can tell)
    _requests_sent += 1


def raised(error: openai.APIError) -> dict[str, object]:
    told: dict[str, object] = {
        "raised": type(error).__name__,
        "message": error.message,
        "code": error.code,
        "param": error.param,
        "type": error.type,
        "requests": _requests_sent,
    }
    if isinstance(error, openai.APIStatusError):
        told |= {"status": error.status_code, "request_id": error.request_id}
    return told


# -- formats --------------------------------------------------------------------------------------


def _as(response_format: str) -> Scenario:
    def transcribe(client: OpenAI, sound: Path) -> Result:
        answer = client.audio.transcriptions.create(
            file=sound,
            model="whisper-1",
            response_format=response_format,  # type: ignore[call-overload]
        )
        return answer if isinstance(answer, str) else answer.model_dump(exclude_unset=True)

    return transcribe


def words(client: OpenAI, sound: Path) -> Result:
    return client.audio.transcriptions.create(
        file=sound,
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
        temperature=0.2,
    ).model_dump(exclude_unset=True)


def words_only(client: OpenAI, sound: Path) -> Result:
    return client.audio.transcriptions.create(
        file=sound,
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word"],
    ).model_dump(exclude_unset=True)


def everything(client: OpenAI, sound: Path) -> Result:
    """All that both clients can send beside the text's format."""
    return client.audio.transcriptions.create(
        file=("Besprechung 会议.wav", sound.read_bytes(), "audio/wav"),
        model="gpt-4o-transcribe",
        chunking_strategy={"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 300},
        prompt="Mars, Digique Plus",
        extra_body={"hotwords": "ZyntriQix Acme", "keywords": ["New York"], "vad": "off"},
    ).model_dump(exclude_unset=True)


def keywords(client: OpenAI, sound: Path) -> Result:
    """OpenAI's own field for hotwords, which the older client does not know."""
    return client.audio.transcriptions.create(
        file=sound, model="gpt-transcribe", keywords=["ZyntriQix"], extra_body={"vad": "off"}
    ).text


def logprobs(client: OpenAI, sound: Path) -> Result:
    return client.audio.transcriptions.create(
        file=sound, model="gpt-4o-transcribe", include=["logprobs"], extra_body={"vad": "off"}
    ).model_dump(exclude_unset=True)


# -- streams --------------------------------------------------------------------------------------


def stream(client: OpenAI, sound: Path) -> Result:
    events = client.audio.transcriptions.create(
        file=sound, model="gpt-4o-mini-transcribe", stream=True, extra_body={"vad": "off"}
    )
    return [event.model_dump(exclude_unset=True) for event in events]


def broken_stream(client: OpenAI, sound: Path) -> Result:
    seen: list[str] = []
    try:
        events = client.audio.transcriptions.create(
            file=sound, model="whisper-1", stream=True, extra_body={"vad": "off"}
        )
        # what came before it broke stays in the list
        seen.extend(event.type for event in events)
    except openai.APIError as error:
        return {"seen": seen, **raised(error)}
    return {"seen": seen}


# -- models, refusals, retries --------------------------------------------------------------------


def models(client: OpenAI, _sound: Path) -> Result:
    listed = [model.model_dump() for model in client.models.list()]
    return {"listed": listed, "one": client.models.retrieve(str(listed[0]["id"])).model_dump()}


def unknown_model(client: OpenAI, sound: Path) -> Result:
    return client.audio.transcriptions.create(file=sound, model="nonesuch").text


def unknown_format(client: OpenAI, sound: Path) -> Result:
    return client.audio.transcriptions.create(
        file=sound,
        model="whisper-1",
        response_format="mp3",  # type: ignore[call-overload]
    )


def diarized(client: OpenAI, sound: Path) -> Result:
    return client.audio.transcriptions.create(
        file=sound,
        model="whisper-1",
        response_format="diarized_json",
    )


def translate(client: OpenAI, sound: Path) -> Result:
    return client.audio.translations.create(file=sound, model="whisper-1").text


def no_sound(client: OpenAI, _sound: Path) -> Result:
    return client.audio.transcriptions.create(
        file=("letter.wav", b"Dear Sir or Madam, " * 50), model="whisper-1"
    ).text


def empty_file(client: OpenAI, _sound: Path) -> Result:
    return client.audio.transcriptions.create(file=("talk.wav", b""), model="whisper-1").text


def aimed_at(hotword: str) -> Scenario:
    """The fault that the `fake` engine plays for requests with that hotword."""

    def transcribe(client: OpenAI, sound: Path) -> Result:
        return client.audio.transcriptions.create(
            file=sound, model="whisper-1", extra_body={"hotwords": [hotword], "vad": "off"}
        ).text

    return transcribe


def retried(client: OpenAI, sound: Path) -> Result:
    patient = client.with_options(max_retries=8)
    raw = patient.audio.transcriptions.with_raw_response.create(file=sound, model="whisper-1")
    return {"text": raw.parse().text, "retries": raw.retries_taken, "requests": _requests_sent}


def plain(client: OpenAI, sound: Path) -> Result:
    return client.audio.transcriptions.create(file=sound, model="whisper-1").text


def many(client: OpenAI, sound: Path) -> Result:
    """Until the key's own limit is reached."""
    impatient = client.with_options(max_retries=0)
    for _ in range(20):
        impatient.audio.transcriptions.create(file=sound, model="whisper-1")
    return "no limit was met"


SCENARIOS: dict[str, Scenario] = {
    **{name: _as(name) for name in ("json", "text", "verbose_json", "srt", "vtt")},
    **{f"aimed_{word}": aimed_at(word) for word in ("kaputt", "unreadable", "deadly")},
    **{
        scenario.__name__: scenario
        for scenario in (
            words,
            words_only,
            everything,
            keywords,
            logprobs,
            stream,
            broken_stream,
            models,
            unknown_model,
            unknown_format,
            diarized,
            translate,
            no_sound,
            empty_file,
            retried,
            plain,
            many,
        )
    },
}


def run(client: OpenAI, sound: Path, name: str) -> Result:
    global _requests_sent  # noqa: PLW0603
    _requests_sent = 0
    try:
        return SCENARIOS[name](client, sound)
    except openai.APIError as error:
        return raised(error)


def main() -> None:
    base_url, key, sound, *names = sys.argv[1:]
    hooked = openai.DefaultHttpxClient(event_hooks={"request": [_count]})
    with OpenAI(
        base_url=base_url,
        api_key=key,
        http_client=hooked,
        timeout=60,
        _strict_response_validation=True,
    ) as client:
        results = {name: run(client, Path(sound), name) for name in names}
    json.dump({"version": openai.__version__, "results": results}, sys.stdout)


if __name__ == "__main__":
    main()
