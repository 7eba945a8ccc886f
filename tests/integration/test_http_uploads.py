"""Uploads over ASGI: their limits, their places, their files, and that none stays behind."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from tests.integration.standin_service import FILE, SOUND, TRANSCRIBE, StandInService, fault_of
from voxfleet.errors import OverloadError
from voxfleet.gateway.spool_file import SpoolFile


async def test_the_upload_is_for_its_owner_only(
    client: httpx.AsyncClient, service: StandInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    opened = os.open

    def noting(path: str | Path, flags: int, mode: int = 0o777) -> int:
        modes.append(mode)
        return opened(path, flags, mode)

    monkeypatch.setattr("voxfleet.gateway.spool_file.os.open", noting)
    assert (await client.post(TRANSCRIBE, files=FILE)).status_code == 200
    assert set(modes) == {0o600}


async def test_a_hostile_file_name_names_no_path(
    client: httpx.AsyncClient, service: StandInService, spool: Path
) -> None:
    files = {"file": ("../../evil\n.wav", SOUND)}
    assert (await client.post(TRANSCRIBE, files=files)).status_code == 200
    asked = service.asked[0]
    assert asked.path.parent == spool
    assert asked.path.suffix == ".upload"
    assert "/" not in asked.name


async def test_too_large_by_its_headers_alone(client: httpx.AsyncClient) -> None:
    response = await client.post(
        TRANSCRIBE,
        content=b"",
        headers={"content-type": "multipart/form-data; boundary=x", "content-length": "9" * 30},
    )
    assert fault_of(response)[:2] == (413, "audio_too_large")
    assert response.headers["connection"] == "close"


async def test_too_large_while_it_arrives_with_no_length_said(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(5):
            yield bytes(1_000_000)

    response = await client.post(
        TRANSCRIBE,
        content=endless(),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert fault_of(response)[:2] == (413, "audio_too_large")


async def test_a_full_queue_refuses_before_anything_is_read(
    client: httpx.AsyncClient, service: StandInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxfleet.gateway.spool_file.os.open", pytest.fail)
    service.refusal = OverloadError("the queue is full", retry_after_s=7.5)
    response = await client.post(TRANSCRIBE, files=FILE)
    assert fault_of(response)[:2] == (503, "overloaded")
    assert response.headers["retry-after"] == "8"


async def test_an_upload_holds_its_place_until_it_has_ended(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    service.max_places = 1
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        begun.set()
        await go_on.wait()
        yield b"not a form"

    form = {"content-type": "multipart/form-data; boundary=x"}
    slowly = asyncio.create_task(client.post(TRANSCRIBE, content=slow(), headers=form))
    await begun.wait()
    assert fault_of(await client.post(TRANSCRIBE, files=FILE))[:2] == (503, "overloaded")
    go_on.set()
    assert fault_of(await slowly)[:2] == (400, "bad_request")
    assert (await client.post(TRANSCRIBE, files=FILE)).status_code == 200


@pytest.mark.parametrize("small", [True, False])
async def test_what_may_take_long_is_done_in_threads_only(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    """Opening and writing, which wait for a disk; removing only where there is much to free."""
    threads: set[int] = set()

    def noted(call: Callable[..., object]) -> Callable[..., object]:
        def noting(*args: object, **kwargs: object) -> object:
            threads.add(threading.get_ident())
            return call(*args, **kwargs)

        return noting

    monkeypatch.setattr(os, "open", noted(os.open))
    monkeypatch.setattr(os, "writev", noted(os.writev))
    monkeypatch.setattr(Path, "mkdir", noted(Path.mkdir))
    if not small:
        monkeypatch.setattr("voxfleet.gateway.spool_file._SMALL_BYTES", 0)
        monkeypatch.setattr(os, "close", noted(os.close))
        monkeypatch.setattr(Path, "unlink", noted(Path.unlink))
    response = await client.post(TRANSCRIBE, files=FILE)
    monkeypatch.undo()
    assert response.status_code == 200
    assert threads
    assert threading.get_ident() not in threads


def test_a_write_that_comes_after_the_end_makes_no_file(tmp_path: Path) -> None:
    # as when the task was cancelled before its thread began
    late = SpoolFile(tmp_path / "uploads" / "x.upload")
    late.discard()
    late.write([memoryview(b"sound")])
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_an_overload(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("voxfleet.gateway.spool_file.os.writev", full)
    response = await client.post(TRANSCRIBE, files=FILE)
    assert fault_of(response)[:2] == (503, "overloaded")
    assert "disk" in response.json()["error"]["message"]
