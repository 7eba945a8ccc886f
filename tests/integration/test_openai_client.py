"""The real `openai` package, unmodified, against the gateway on a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from tests.integration.standin_service import StandInService, served
from voxfleet.core import Word
from voxfleet.errors import (
    AudioTooLongError,
    CorruptAudioError,
    DeadlineError,
    NotAudioError,
    OverloadError,
    VoxfleetError,
)
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app
from voxfleet.transcribe.transcript_stream import TextDelta

SOUND = ("talk.wav", b"RIFF and so on")


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def running(spool: Path) -> Iterator[tuple[StandInService, str]]:
    service = StandInService()
    app = create_app(service, GatewaySettings(spool, "9.9", max_upload_mb=3, started_at_s=1_700))
    with served(app) as address:
        yield service, f"{address}/v1"


@pytest.fixture
def service(running: tuple[StandInService, str]) -> StandInService:
    running[0].fault = running[0].refusal = None
    running[0].asked.clear()
    running[0].deltas = ()
    return running[0]


@pytest.fixture
def client(running: tuple[StandInService, str]) -> Iterator[OpenAI]:
    with OpenAI(
        api_key="none", base_url=running[1], max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def test_json(client: OpenAI, service: StandInService) -> None:
    answer = client.audio.transcriptions.create(file=SOUND, model="whisper-1")
    assert answer.text == "hello world"
    assert service.asked[0].model == "main"
    assert service.asked[0].name == "talk.wav"


def test_verbose_json_with_words(client: OpenAI, service: StandInService) -> None:
    answer = client.audio.transcriptions.create(
        file=SOUND,
        model="main",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
        temperature=0.5,
    )
    assert (answer.duration, answer.language) == (1.5, "en")
    assert [word.word for word in answer.words or ()] == ["hello", "world"]
    assert [segment.text for segment in answer.segments or ()] == ["hello world"]
    asked = service.asked[0].recognition
    assert (asked.word_times, asked.language, asked.temperature) == (True, "en", 0.5)


def test_plain_formats(client: OpenAI, service: StandInService) -> None:
    create = client.audio.transcriptions.create
    assert create(file=SOUND, model="m", response_format="text").strip() == "hello world"
    srt = create(file=SOUND, model="m", response_format="srt")
    assert "00:00:00,250 --> 00:00:01,000" in srt
    vtt = create(file=SOUND, model="m", response_format="vtt")
    assert vtt.startswith("WEBVTT")
    assert "hello world" in vtt


def test_everything_the_client_can_send(client: OpenAI, service: StandInService) -> None:
    answer = client.audio.transcriptions.create(
        file=SOUND,
        model="gpt-4o-transcribe",
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        include=["logprobs"],
        known_speaker_names=["ann"],
        prompt="Mars, Digique Plus",
        stream=False,
        extra_body={"hotwords": "ZyntriQix Acme", "keywords": ["New York"], "vad": "energy"},
    )
    asked = service.asked[0]
    assert asked.recognition.hotwords == ("ZyntriQix", "Acme", "New York", "Mars", "Digique Plus")
    assert asked.audio.vad == "energy"
    assert [note.split(":")[0] for note in answer.model_extra["warnings"]] == [  # type: ignore[index]
        "14 bytes",
        "known_speaker_names",
    ]
    assert [entry.token for entry in answer.logprobs or ()] == ["hello", "world"]


def test_models(client: OpenAI, service: StandInService) -> None:
    assert [model.id for model in client.models.list()] == ["main", "org/plain"]
    plain = client.models.retrieve("org/plain")
    assert (plain.id, plain.object, plain.created) == ("org/plain", "model", 1_700)
    assert client.models.retrieve("m").id == "main"
    assert client.models.retrieve("whisper-1").id == "main"


def test_a_stream(client: OpenAI, service: StandInService) -> None:
    service.deltas = (TextDelta("hello"), TextDelta(" world"))
    events = list(client.audio.transcriptions.create(file=SOUND, model="m", stream=True))
    assert [type(event) for event in events] == [
        TranscriptionTextDeltaEvent,
        TranscriptionTextDeltaEvent,
        TranscriptionTextDoneEvent,
    ]
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert deltas == done.text == "hello world"
    assert done.usage is None
    assert done.model_extra == {"duration": 1.5, "warnings": ["14 bytes"]}


def test_a_stream_with_log_probabilities(client: OpenAI, service: StandInService) -> None:
    service.deltas = (TextDelta("hello", (Word("hello", 0, 1, 0.5),)),)
    first, done = client.audio.transcriptions.create(
        file=SOUND, model="gpt-4o-transcribe", stream=True, include=["logprobs"]
    )
    assert first.type == "transcript.text.delta"
    assert done.type == "transcript.text.done"
    assert [entry.token for entry in first.logprobs or ()] == ["hello"]
    assert [entry.token for entry in done.logprobs or ()] == ["hello", "world"]


def test_a_fault_in_a_stream_is_raised_behind_its_text(
    client: OpenAI, service: StandInService
) -> None:
    service.deltas = (TextDelta("hello"),)
    service.fault = DeadlineError("late")
    events = client.audio.transcriptions.create(file=SOUND, model="m", stream=True)
    assert next(events).type == "transcript.text.delta"
    with pytest.raises(openai.APIError, match="late") as raised:
        next(events)
    assert raised.value.code == "deadline_passed"


def test_a_fault_before_a_stream_has_its_class_and_is_tried_again(
    client: OpenAI, service: StandInService
) -> None:
    service.fault = OverloadError("full", retry_after_s=0.1)
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=1).audio.transcriptions.create(
            file=SOUND, model="m", stream=True
        )
    assert len(service.asked) == 2


def test_subtitles_cannot_be_streamed(client: OpenAI, service: StandInService) -> None:
    with pytest.raises(openai.BadRequestError, match="srt") as refused:
        client.audio.transcriptions.create(
            file=SOUND, model="m", response_format="srt", extra_body={"stream": True}
        )
    assert refused.value.param == "stream"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_nothing_is_translated(client: OpenAI, service: StandInService) -> None:
    with pytest.raises(openai.BadRequestError, match="no model of this server translates"):
        client.audio.translations.create(file=SOUND, model="whisper-1")
    big = ("big.wav", bytes(2_900_000))
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.translations.create(file=big, model="whisper-1")
    assert (refused.value.code, refused.value.param) == ("invalid_value", "model")
    assert service.asked == []


def test_unknown_model(client: OpenAI, service: StandInService) -> None:
    with pytest.raises(openai.NotFoundError, match="main, org/plain") as refused:
        client.audio.transcriptions.create(file=SOUND, model="gpt-5")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")


def test_the_request_id_reaches_the_caller(client: OpenAI, service: StandInService) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(
            file=SOUND, model="m", language="xx", extra_headers={"X-Request-Id": "mine-1"}
        )
    assert refused.value.request_id == "mine-1"
    answer = client.audio.transcriptions.create(file=SOUND, model="m")
    assert answer._request_id == service.asked[0].id != ""


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (NotAudioError("no sound"), openai.APIStatusError),
        (AudioTooLongError("too long"), openai.APIStatusError),
        (CorruptAudioError("broken"), openai.UnprocessableEntityError),
        (DeadlineError("late"), openai.InternalServerError),
        (OverloadError("full", retry_after_s=2), openai.InternalServerError),
    ],
)
def test_faults_become_the_right_class(
    client: OpenAI,
    service: StandInService,
    fault: VoxfleetError,
    kind: type[openai.APIStatusError],
) -> None:
    service.fault = fault
    with pytest.raises(kind, match=fault.message) as refused:
        client.audio.transcriptions.create(file=SOUND, model="m")
    assert type(refused.value) is kind
    assert (refused.value.status_code, refused.value.code) == (fault.status, fault.code)


def test_a_hopeless_fault_is_not_tried_again(client: OpenAI, service: StandInService) -> None:
    service.fault = DeadlineError("late")
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=2).audio.transcriptions.create(file=SOUND, model="m")
    assert len(service.asked) == 1


def test_an_overload_is_tried_again(client: OpenAI, service: StandInService) -> None:
    service.fault = OverloadError("full", retry_after_s=0.1)
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=1).audio.transcriptions.create(file=SOUND, model="m")
    assert len(service.asked) == 2


def test_too_large_is_told_although_the_client_still_sends(
    client: OpenAI, service: StandInService, spool: Path
) -> None:
    with pytest.raises(openai.APIStatusError, match="3 MB") as refused:
        client.audio.transcriptions.create(file=("big.wav", bytes(40_000_000)), model="m")
    assert refused.value.status_code == 413
    assert list(spool.iterdir()) == []
