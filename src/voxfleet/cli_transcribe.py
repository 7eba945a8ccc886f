"""`voxfleet transcribe`: many files through one service, their texts out in the order given.

Knows files, outputs and exit states; how sound becomes text is the service's business.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxfleet.assemble import open_service
from voxfleet.audio.displayed_name import displayed_name
from voxfleet.cli_inputs import OUTPUT_SUFFIXES, STANDARD_INPUT, find_inputs, output_paths
from voxfleet.cli_output import write_whole
from voxfleet.cli_progress import make_display
from voxfleet.cli_stdin import keep_standard_input
from voxfleet.config import Settings
from voxfleet.core import (
    AudioInfo,
    AudioOptions,
    ChannelMode,
    Hypothesis,
    RecognitionOptions,
    SpooledSegment,
    TextOptions,
    Transcription,
    WorkClass,
)
from voxfleet.errors import UsageError, VoxfleetError
from voxfleet.transcribe.formats import render
from voxfleet.transcribe.hotword_text import WITHOUT_LISTS, expanded, split_hotwords
from voxfleet.transcribe.transcribe_request import TranscribeRequest
from voxfleet.transcribe.transcription_service import TranscriptionService

_JSON_FORMATS = ("json", "verbose_json")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was written on the command line, besides what is a setting."""

    files: tuple[str, ...]
    output_format: str
    output_dir: Path | None
    language: str | None
    hotwords: str | None
    channel: ChannelMode
    text: TextOptions
    progress: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with every file. `outputs` maps inputs to files; empty prints to stdout."""

    inputs: tuple[Path, ...]
    output_format: str
    outputs: dict[Path, Path]
    audio: AudioOptions
    recognition: RecognitionOptions
    text: TextOptions
    parallel: int


class Display(Protocol):
    """Somebody who watches all files; a progress display, or nobody."""

    def begin(self, path: Path) -> None: ...
    def opened(self, path: Path, duration_s: float | None) -> None: ...
    def advanced(self, path: Path, done_s: float) -> None: ...
    def ended(self, path: Path, duration_s: float | None) -> None: ...
    def say(self, line: str) -> None:
        """Put a line on standard error without spoiling the display."""
        ...


class _Listener:
    def __init__(self, display: Display, path: Path) -> None:
        self._display = display
        self._path = path
        self._done_s = 0.0

    def opened(self, info: AudioInfo) -> None:
        self._display.opened(self._path, info.duration_s)

    def recognised(self, segment: SpooledSegment, hypothesis: Hypothesis) -> None:  # noqa: ARG002
        # segments may come back in any order
        self._done_s = max(self._done_s, segment.end_s)
        self._display.advanced(self._path, self._done_s)


class InterruptedBySignal(Exception):  # noqa: N818  (an end that was asked for is no error)
    """The user or the system asked for an end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_transcribe(settings: Settings, wishes: Wishes) -> int:
    """Everything between the command line and its exit state: the number of files that failed.

    Raises InterruptedBySignal when all that was started has ended.
    """
    order = make_order(settings, wishes)
    if sys.stdout is None and not order.outputs:
        raise UsageError("standard output is closed; name a folder with --output-dir")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a file's name may hold bytes that are no text, and a terminal may know no Chinese
        sys.stdout.reconfigure(errors="backslashreplace")
    stops: list[int] = []
    with make_display(order.inputs, wishes.progress) as display:
        try:
            return asyncio.run(_transcribe_here(settings, order, display, stops))
        except asyncio.CancelledError:
            raise InterruptedBySignal(stops[0]) from None


async def _transcribe_here(
    settings: Settings, order: Order, display: Display, stops: list[int]
) -> int:
    _cancel_on_signal(stops)
    async with open_service(settings) as (service, scratch):
        return await transcribe_files(service, order, display, scratch)


def _cancel_on_signal(stops: list[int]) -> None:
    """Signals only record and cancel; whatever was started is ended on the way out."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  (a coroutine always runs in a task)

    def stop(number: int) -> None:
        stops.append(number)
        task.cancel()

    stops_for = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # the terminal was closed, and nobody (nohup) said to go on without it
        stops_for.append(signal.SIGHUP)
    for number in stops_for:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)


def make_order(settings: Settings, wishes: Wishes) -> Order:
    """Raises UsageError or ParameterError before any model is loaded."""
    if wishes.output_format not in OUTPUT_SUFFIXES:
        known = ", ".join(OUTPUT_SUFFIXES)
        raise UsageError(f"--format {wishes.output_format}: not a format; choose one of {known}")
    inputs = tuple(find_inputs(wishes.files))
    folder = wishes.output_dir
    if folder and folder.exists() and not folder.is_dir():
        raise UsageError(f"--output-dir {folder}: is a file; name a folder")
    return Order(
        inputs=inputs,
        output_format=wishes.output_format,
        outputs=output_paths(inputs, folder, wishes.output_format) if folder else {},
        audio=AudioOptions(vad=settings.audio.vad, channel=wishes.channel),
        recognition=RecognitionOptions(
            language=wishes.language,
            hotwords=_hotwords(wishes.hotwords or ""),
            word_times=True,
        ),
        text=wishes.text,
        # one file is decoded while another is recognised
        parallel=settings.instances + settings.media.processes,
    )


def _hotwords(text: str) -> tuple[str, ...]:
    return expanded(split_hotwords(text, "--hotwords"), WITHOUT_LISTS, "--hotwords")


async def transcribe_files(
    service: TranscriptionService, order: Order, display: Display, scratch: Path
) -> int:
    """Transcribe all, print or write each in order; how many failed, each named on stderr."""
    failed = 0
    gate = asyncio.Semaphore(order.parallel)
    tasks = [
        asyncio.create_task(_one(service, order, path, display, gate, scratch))
        for path in order.inputs
    ]
    try:
        for path, task in zip(order.inputs, tasks, strict=True):
            try:
                _deliver(order, path, await task)
            except VoxfleetError as fault:
                failed += 1
                display.say(f"voxfleet: {fault.message}")
    finally:
        # reached early when interrupted: nothing goes on in the background
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return failed


async def _one(
    service: TranscriptionService,
    order: Order,
    path: Path,
    display: Display,
    gate: asyncio.Semaphore,
    scratch: Path,
) -> Transcription:
    async with gate:
        display.begin(path)
        duration_s: float | None = None
        try:
            transcription = await service.transcribe(await _request(order, path, display, scratch))
            duration_s = transcription.duration_s
        finally:
            display.ended(path, duration_s)
        for warning in transcription.warnings:
            display.say(f"voxfleet: warning: {displayed_name(str(path))}: {warning}")
        return transcription


async def _request(order: Order, path: Path, display: Display, scratch: Path) -> TranscribeRequest:
    return TranscribeRequest(
        path=await _readable(path, scratch),
        name=displayed_name(str(path)),
        work_class=WorkClass.BATCH,
        audio=order.audio,
        recognition=order.recognition,
        text=order.text,
        listener=_Listener(display, path),
    )


async def _readable(path: Path, scratch: Path) -> Path:
    """The file itself, or where standard input is kept; raises UsageError saying what is wrong."""
    if path != STANDARD_INPUT:
        return _regular_file(path)
    kept = scratch / "stdin"
    await keep_standard_input(kept)
    return kept


def _regular_file(path: Path) -> Path:
    name = displayed_name(str(path))
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UsageError(f"{name}: no such file") from None
    except OSError as fault:
        raise UsageError(f"{name}: cannot be read: {fault.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        # a pipe or a device may never end
        raise UsageError(f"{name}: not a file; send a pipe to standard input and name it -")
    return path


def _deliver(order: Order, path: Path, transcription: Transcription) -> None:
    granularities = frozenset({"segment", "word"})
    body = render(transcription, order.output_format, granularities).body
    place = order.outputs.get(path)
    if place:
        write_whole(place, body)
    else:
        _print(_labelled(path, body, order))


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read has gone; the flush at our exit must find an open end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise InterruptedBySignal(signal.SIGPIPE) from None
    except OSError as fault:
        raise UsageError(f"standard output: cannot be written: {fault.strerror}") from fault


def _labelled(path: Path, body: str, order: Order) -> str:
    """Several texts on one stream: JSON as one object a line, the rest under a heading each."""
    if not body.endswith("\n"):
        body += "\n"
    if len(order.inputs) == 1:
        return body
    if order.output_format in _JSON_FORMATS:
        return json.dumps({"file": str(path)} | json.loads(body), ensure_ascii=False) + "\n"
    return f"==> {displayed_name(str(path))} <==\n{body}"
