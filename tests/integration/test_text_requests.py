"""Marks and digits as clients ask for them: fields, refusals, health, and a whole server."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from scripts.make_random_punc import write_random_punc
from tests.integration.media_rig import ENERGY, LIMIT_S, bursts, write_wav
from tests.integration.server_process import ServerProcess, serving
from tests.integration.standin_service import FILE, TRANSCRIBE, StandInService, fault_of
from tests.integration.test_text_pool import Rig, text_pool
from voxfleet.core import RecognitionOptions, TextOptions, Transcription
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake import FakeEngine
from voxfleet.errors import ParameterError
from voxfleet.fleet.in_process_pool import InProcessPool
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings
from voxfleet.pool_contract import PoolSnapshot, WorkerSnapshot, WorkerState
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.front_desk import QueueLimits
from voxfleet.transcribe.punctuation import Letters
from voxfleet.transcribe.served_model import ModelList, ServedModel
from voxfleet.transcribe.transcribe_request import TranscribeRequest
from voxfleet.transcribe.transcription_service import TranscriptionService

ROUTES = [(TRANSCRIBE, "file"), ("/asr", "audio")]


@pytest.mark.parametrize(("route", "file_field"), ROUTES)
@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ({}, TextOptions()),
        ({"itn": "true"}, TextOptions(itn=True)),
        ({"itn": "0", "punctuate": "false"}, TextOptions(punctuate=False)),
        ({"punctuate": "Yes"}, TextOptions(punctuate=True)),
        ({"punctuate": " "}, TextOptions()),
    ],
)
async def test_what_is_asked_of_the_text_reaches_the_service(
    client: httpx.AsyncClient,
    service: StandInService,
    route: str,
    file_field: str,
    form: dict[str, str],
    wanted: TextOptions,
) -> None:
    response = await client.post(route, files={file_field: FILE["file"]}, data=form)
    assert response.status_code == 200
    assert service.asked[0].text == wanted


@pytest.mark.parametrize("name", ["itn", "punctuate"])
async def test_a_wish_nobody_understands_is_refused(client: httpx.AsyncClient, name: str) -> None:
    response = await client.post(TRANSCRIBE, files=FILE, data={name: "perhaps"})
    assert fault_of(response) == (400, "invalid_value", name)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (WorkerState.READY, "ok"),
        (WorkerState.RESTARTING, "degraded"),
        (WorkerState.FAILED, "degraded"),
    ],
)
async def test_health_tells_of_lost_text_engines_and_requests_go_on(
    client: httpx.AsyncClient, service: StandInService, state: WorkerState, status: str
) -> None:
    reason = "" if state is WorkerState.READY else "killed by SIGKILL"
    worker = WorkerSnapshot("text-0", "itn", "cpu", 1, state, 0, False, reason)
    service.texts = PoolSnapshot("itn", (worker,), None)
    health = (await client.get("/health")).json()
    assert (health["status"], health["models"]) == (status, ["main"])
    assert health["text_instances"] == {"ready": int(state is WorkerState.READY), "total": 1}
    expected = f"text engines itn: {reason}" if reason else None
    assert health.get("reason") == expected
    assert (await client.get("/readyz")).status_code == 200


async def test_health_has_no_text_instances_where_there_are_none(client: httpx.AsyncClient) -> None:
    assert "text_instances" not in (await client.get("/health")).json()


# -- the service ------------------------------------------------------------------------------


@asynccontextmanager
async def service_with_texts() -> AsyncIterator[tuple[TranscriptionService, Rig]]:
    """Real decoding, a real text worker that answers in capitals, and the fake engine."""
    async with text_pool() as rig:
        media = MediaPool(MediaSettings(processes=1), rig.folder / "media", rig.folder / "spool")
        pool = InProcessPool(FakeEngine(EngineOptions("fake")))
        served = ServedModel(pool, Dispatcher(pool))
        running = TranscriptionService(media, ModelList([served]), QueueLimits(5), rig.pool)
        # the text pool runs already
        await asyncio.gather(media.start(), pool.start())
        served.dispatcher.start()
        try:
            yield running, rig
        finally:
            await running.stop()


async def answer(running: TranscriptionService, path: Path, word: str) -> Transcription:
    wanted = TranscribeRequest(
        path,
        path.name,
        audio=ENERGY,
        recognition=RecognitionOptions(language="en", hotwords=(word,)),
        text=TextOptions(itn=True),
    )
    return await asyncio.wait_for(running.transcribe(wanted), LIMIT_S)


async def test_a_text_worker_killed_while_requests_run_loses_none(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "meeting.wav", bursts(6))
    async with service_with_texts() as (running, rig):
        before = (await answer(running, path, "ann")).transcripts
        assert before[0].text.isupper()
        asked = [asyncio.create_task(answer(running, path, "ann")) for _ in range(3)]
        os.kill(rig.pid, signal.SIGKILL)
        for done in await asyncio.gather(*asked):
            assert (done.transcripts, done.warnings) == (before, ())
        assert rig.pool.snapshot().workers[0].restarts == 1


async def test_text_engines_that_cannot_answer_are_told_of_with_the_plain_text(
    tmp_path: Path,
) -> None:
    path = write_wav(tmp_path / "meeting.wav", bursts(6))
    async with service_with_texts() as (running, rig):
        whole = await answer(running, path, "ann")
        await rig.pool.stop()
        done = await answer(running, path, "ann")
        assert done.transcripts[0].text.upper() == whole.transcripts[0].text
        assert done.transcripts[0].text.islower()
        (warning,) = done.warnings
        assert warning.startswith("itn: failed, the text is as recognised: text engines: ")
        assert running.ready()


async def test_a_wish_the_server_cannot_meet_is_refused_before_any_work(tmp_path: Path) -> None:
    async with service_with_texts() as (running, _):
        wanted = TranscribeRequest(
            tmp_path / "none.wav", "none.wav", text=TextOptions(punctuate=True)
        )
        with pytest.raises(ParameterError, match=r"punctuation\.dir"):
            await running.transcribe(wanted)


# -- the whole server -------------------------------------------------------------------------


def ask(server: ServerProcess, path: Path, **form: str) -> httpx.Response:
    form |= {"vad": "energy", "language": "en", "hotwords[]": "fifty percent"}
    with server.client() as client, path.open("rb") as sound:
        return client.post(TRANSCRIBE, files={"file": ("a.wav", sound)}, data=form)


def text_worker(server: ServerProcess) -> psutil.Process:
    (found,) = [child for child in server.children() if "voxfleet.text_worker" in child.cmdline()]
    return found


def test_a_server_with_number_formatting(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "meeting.wav", bursts(6))
    with serving(tmp_path / "data", "--model", "fake", VOXFLEET_ITN__ENABLED="true") as server:
        plain = ask(server, path).json()["text"]
        assert "fifty percent" in plain
        written = ask(server, path, itn="true").json()
        assert (written["text"], "warnings" in written) == (
            plain.replace("fifty percent", "50 %"),
            False,
        )
        killed = text_worker(server)
        killed.kill()
        assert ask(server, path, itn="true").json() == written
        _until_healthy(server)
        assert text_worker(server).pid != killed.pid
        said = server.stop()
        assert server.process.returncode == 0, said


def test_a_server_with_punctuation(tmp_path: Path) -> None:
    # random weights put their marks anywhere: what must hold is that they are marks, and where
    model = write_random_punc(tmp_path / "ct-punc", bias={"，": 8.0})
    path = write_wav(tmp_path / "meeting.wav", bursts(6))
    settings = {"VOXFLEET_PUNCTUATION__DIR": str(model), "VOXFLEET_ITN__ENABLED": "1"}
    with serving(tmp_path / "data", "--model", "fake", **settings) as server:
        plain = ask(server, path, punctuate="0", response_format="verbose_json").json()
        marked = ask(server, path, response_format="verbose_json").json()
        assert "," in marked["text"]
        assert "," not in plain["text"]
        assert Letters(marked["text"]).folded == Letters(plain["text"]).folded
        for before, after in zip(plain["segments"], marked["segments"], strict=True):
            assert Letters(after["text"]).folded == Letters(before["text"]).folded
            assert (after["start"], after["end"]) == (before["start"], before["end"])
        written = ask(server, path, itn="true").json()
        assert "50" in written["text"]
        assert "warnings" not in written


def _until_healthy(server: ServerProcess) -> None:
    deadline = time.monotonic() + LIMIT_S
    with server.client() as client:
        while client.get("/health").json()["status"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_server_without_text_engines_starts_no_process_for_them(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "meeting.wav", bursts(1))
    with serving(tmp_path / "data", "--model", "fake") as server:
        response = ask(server, path, itn="true")
        assert fault_of(response) == (400, "invalid_value", "itn")
        assert "voxfleet[itn]" in response.json()["error"]["message"]
        assert fault_of(ask(server, path, punctuate="1")) == (400, "invalid_value", "punctuate")
        assert ask(server, path, punctuate="0").status_code == 200
        commands = [" ".join(child.cmdline()) for child in server.children()]
        assert not [command for command in commands if "text_worker" in command]
