"""What FunASR's clients are answered. Pure.

They differ in what they cannot bear: for a file one counts every text message, another reads
`timestamp` as a string only, a third waits for `is_final` to be true. All bear what is made here.
"""

from __future__ import annotations

import json
from functools import partial
from itertools import islice

from voxfleet.core import Transcription, TranscriptSegment
from voxfleet.errors import VoxfleetError
from voxfleet.gateway.api_schemas import JsonObject
from voxfleet.gateway.funasr_messages import FileWish, FunAsrMode
from voxfleet.gateway.funasr_stamps import sentences, timestamp
from voxfleet.transcribe.session_contract import (
    Completed,
    Ending,
    ItemFailed,
    PartialText,
    SessionEvent,
)
from voxfleet.transcribe.stitch import wants_space

_MARKS = " ，。？！、；：…,.?!;:"

#: as FunASR's servers write: Chinese as it is
answer_text = partial(json.dumps, ensure_ascii=False)


def last_mode(mode: FunAsrMode) -> str:
    """What a message is called that has the text as it stays."""
    return "2pass-offline" if mode is FunAsrMode.TWICE else mode.value


def file_answer(wish: FileWish, transcription: Transcription | None) -> JsonObject:
    """The one answer to a file; None is one without sound."""
    transcripts = transcription.transcripts if transcription else ()
    segments = [segment for transcript in transcripts for segment in transcript.segments]
    answer = {
        **_message(wish, "\n".join(transcript.text for transcript in transcripts)),
        "is_final": True,
        **_stamps(segments),
    }
    if transcription and transcription.warnings:
        answer["warnings"] = list(transcription.warnings)
    return answer


def fault_answer(wish: FileWish, fault: VoxfleetError) -> JsonObject:
    """It stands for the file's text; the text stays empty, as a message in it would be kept."""
    return {**_message(wish, ""), "is_final": True, "error": fault.message, "code": fault.code}


def end_ack(wish: FileWish, error: str | None) -> JsonObject:
    """FunASR's Python client waits for it, and takes `is_final` false for a failure."""
    ack: JsonObject = {
        "mode": last_mode(wish.mode),
        "wav_name": wish.wav_name,
        "is_final": error is None,
        "is_end": True,
    }
    return ack if error is None else {**ack, "error": error}


def _message(wish: FileWish, text: str, mode: str | None = None) -> JsonObject:
    return {"mode": mode or last_mode(wish.mode), "text": text, "wav_name": wish.wav_name}


def _stamps(segments: list[TranscriptSegment]) -> JsonObject:
    times = timestamp(segments)
    told: JsonObject = {} if times is None else {"timestamp": times}
    return {**told, "stamp_sents": sentences(segments)}


class LiveAnswers:
    """The answers to what is told of one live file; `last` ends them with `is_final` true.

    Once the sound has ended, a finished sentence is held back until it is known whether it was the
    last: clients leave at the first final message.
    """

    def __init__(self, wish: FileWish) -> None:
        self._wish = wish
        self._increments = wish.mode is FunAsrMode.ONLINE
        self._sound_ended = False
        self._held: JsonObject | None = None
        #: of the present sentence
        self._told = ""
        #: the sentence whose texts are told; those of later ones wait until it is complete
        self._present = 0
        self._later: list[PartialText] = []
        #: the end of the sentence before, which decides about the space between them
        self._border = ""
        #: the first thing that went wrong
        self.error: str | None = None

    def sound_ended(self) -> None:
        self._sound_ended = True

    def of(self, event: SessionEvent) -> list[JsonObject]:
        if isinstance(event, PartialText):
            if event.item > self._present:
                self._later.append(event)
                return []
            return self._released(self._partial(event))
        if isinstance(event, Completed):
            return self._finished(self._completed(event)) + self._go_on_after(event.item)
        if isinstance(event, ItemFailed):
            self._told = ""
            failed = self._finished(self._failed(event.message, event.code))
            return failed + self._go_on_after(event.item)
        if isinstance(event, Ending):
            self.error = self.error or event.reason
        return []

    def _go_on_after(self, item: int) -> list[JsonObject]:
        self._present = item + 1
        later, self._later = self._later, []
        return [answer for event in later for answer in self.of(event)]

    def last(self, fault: VoxfleetError | None = None) -> JsonObject:
        """To be asked once, when everything was told."""
        answer = self._held or {**_message(self._wish, ""), "is_final": True}
        if fault is not None:
            self.error = self.error or fault.message
            answer = {**answer, "code": fault.code}
        if self.error is not None:
            answer = {**answer, "error": self.error}
        return {**answer, "is_final": True}

    def _partial(self, event: PartialText) -> JsonObject:
        text = event.text if self._told else self._bordered(event.text)
        self._told += event.text
        mode = "online" if self._increments else "2pass-online"
        return {**_message(self._wish, text, mode), "is_final": False}

    def _completed(self, event: Completed) -> JsonObject:
        text = self._bordered(event.text)
        if self._increments and self._told:
            text = _rest(event.text, self._told)
        self._told = ""
        self._border = event.text or self._border
        answer = {**_message(self._wish, text), "is_final": False}
        if self._increments:
            return answer
        times = {"start_time": round(event.start_s * 1000), "end_time": round(event.end_s * 1000)}
        segment = TranscriptSegment(0, event.start_s, event.end_s, event.text, event.words)
        return {**answer, **times, **_stamps([segment])}

    def _failed(self, message: str, code: str) -> JsonObject:
        self.error = self.error or message
        told = {**_message(self._wish, ""), "is_final": False}
        return {**told, "error": message, "code": code}

    def _finished(self, answer: JsonObject) -> list[JsonObject]:
        if not self._sound_ended:
            return [answer]
        before, self._held = self._held, answer
        return [before] if before else []

    def _released(self, answer: JsonObject) -> list[JsonObject]:
        before, self._held = self._held, None
        return [before, answer] if before else [answer]

    def _bordered(self, text: str) -> str:
        """Clients put the sentences together as they are."""
        between = self._border and text and wants_space(self._border, text)
        return f" {text}" if between else text


def _rest(text: str, told: str) -> str:
    """What of a sentence's final text comes after the letters that were told of it.

    What was told cannot be taken back: marks and digits that came into it later stay untold.
    """
    left = sum(map(str.isalnum, told))
    places = (place for place, char in enumerate(text) if char.isalnum())
    begin = next(islice(places, left - 1, None), len(text) - 1) + 1 if left else 0
    marks_told = told[len(told.rstrip(_MARKS)) :]
    return text[begin:].removeprefix(marks_told)
