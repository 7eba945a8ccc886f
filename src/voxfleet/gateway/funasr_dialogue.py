"""The files of one connection of FunASR's protocol, one after the other: heard, read, answered.

Knows the order of things; the messages themselves are `funasr_messages`' and `funasr_answers`'.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from voxfleet.audio.displayed_name import displayed_name
from voxfleet.core import AudioOptions, RecognitionOptions, TextOptions
from voxfleet.errors import (
    AudioTooLargeError,
    CancelledError,
    DeadlineError,
    EmptyAudioError,
    Fault,
    NotReadyError,
    ParameterError,
    VoxfleetError,
)
from voxfleet.gateway.api_schemas import GatewaySettings, JsonObject, SpeechService
from voxfleet.gateway.funasr_answers import LiveAnswers, end_ack, fault_answer, file_answer
from voxfleet.gateway.funasr_line import FunAsrLine
from voxfleet.gateway.funasr_live import LiveFile
from voxfleet.gateway.funasr_messages import FileWish, FunAsrMode, read_message
from voxfleet.gateway.funasr_sound_file import GatheredSound, gathered
from voxfleet.gateway.funasr_wav_head import Bare, OtherFile, Skippable, wav_head
from voxfleet.gateway.long_answers import written
from voxfleet.media.live_sound import LiveOptions
from voxfleet.transcribe.hotword_text import HotwordLists
from voxfleet.transcribe.session_contract import SessionOptions, TurnOptions
from voxfleet.transcribe.transcribe_request import TranscribeRequest

#: how long FunASR's own servers wait for more of a sentence
_SILENCE_S = 0.8


_GOING_AWAY, _POLICY, _TOO_LARGE, _INTERNAL, _TRY_LATER = 1001, 1008, 1009, 1011, 1013


@dataclass(frozen=True, slots=True)
class Closing:
    """How a connection is ended by the server; whatever is to be said of it has been said."""

    code: int
    reason: str


class FunAsrDialogue:
    """`itn` is whether this server writes numbers as digits, where a client asks for it."""

    def __init__(
        self,
        line: FunAsrLine,
        service: SpeechService,
        lists: HotwordLists,
        settings: GatewaySettings,
        client: str,
        *,
        itn: bool,
    ) -> None:
        self._line = line
        self._service = service
        self._lists = lists
        self._settings = settings
        self._client = client
        self._itn = itn
        #: what the client has said so far; None before its first message
        self._wish: FileWish | None = None
        self._file_ended = False
        self._wants_ack = False

    async def run(self) -> Closing:
        """Until the server ends it; raises CancelledError when the client does."""
        while True:
            try:
                closing = await self._one_file()
            except CancelledError:
                raise
            except VoxfleetError as fault:
                await self._line.tell(fault_answer(self._wish or FileWish(), fault))
                return closing_for(fault)
            if closing is not None:
                return closing

    async def _one_file(self) -> Closing | None:
        self._file_ended = self._wants_ack = False
        try:
            begin = await self._first_sound()
        except (DeadlineError, NotReadyError) as rest:
            # between files: a message now would be taken for the answer to one
            return Closing(_GOING_AWAY, rest.message)
        wish = self._wish or FileWish()
        if begin is None:
            await self._line.tell(file_answer(wish, None))
            await self._acknowledged(wish, None)
            return None
        if wish.mode is FunAsrMode.OFFLINE or not wish.pcm:
            await self._whole(wish, begin)
            return None
        begin, head = await self._head(begin)
        if isinstance(head, OtherFile):
            await self._whole(wish, begin)
            return None
        return await self._live(wish, begin, head)

    async def _first_sound(self) -> bytes | None:
        """The first of the next file's sound; None where it ends without any."""
        while not self._file_ended:
            if (sound := self._heeded(await self._line.first())) is not None:
                return sound
        return None

    async def _next_sound(self, *, patient: bool = False) -> bytes | None:
        """The next of the file's sound, None once it has ended."""
        while not self._file_ended:
            if (sound := self._heeded(await self._line.next(patient=patient))) is not None:
                return sound
        return None

    def _heeded(self, said: str | bytes) -> bytes | None:
        """The sound in what was said, if there is any."""
        if isinstance(said, str):
            self._heed(said)
            return None
        if self._wish is None:
            raise ParameterError(
                "sound came before any message; send one first, such as"
                ' {"mode": "2pass", "is_speaking": true}'
            )
        return said or None

    def _heed(self, text: str) -> None:
        message = read_message(text, self._wish or FileWish(), self._lists)
        self._wish = message.wish
        self._file_ended = message.ends
        self._wants_ack = message.ends and message.wants_ack

    async def _acknowledged(self, wish: FileWish, error: str | None) -> None:
        if self._wants_ack:
            await self._line.tell(end_ack(wish, error))

    # -- read when it is whole --------------------------------------------------------------------

    async def _whole(self, wish: FileWish, begin: bytes) -> None:
        with self._service.admitted():
            pass  # refused before its sound is sent, where it would be refused after it
        settings, error = self._settings, None
        async with gathered(settings.upload_dir, settings.max_upload_mb) as sound:
            await self._gather(sound, begin)
            try:
                answer = await self._line.unless_gone(self._read(wish, sound))
            except EmptyAudioError:
                answer = file_answer(wish, None)
            except CancelledError:
                raise
            except VoxfleetError as fault:
                answer, error = fault_answer(wish, fault), fault.message
        await self._line.tell(answer)
        await self._acknowledged(wish, error)

    async def _gather(self, sound: GatheredSound, begin: bytes) -> None:
        piece: bytes | None = begin
        while piece is not None:
            await sound.add(piece)
            piece = await self._next_sound()
        await sound.write()

    async def _read(self, wish: FileWish, sound: GatheredSound) -> JsonObject:
        raw_pcm = sound.raw_pcm(announced=wish.pcm, sample_rate_hz=wish.sample_rate_hz)
        with self._service.admitted():
            transcription = await self._service.transcribe(
                TranscribeRequest(
                    path=sound.path,
                    name=displayed_name(wish.wav_name),
                    model=self._service.engine_info().model,
                    audio=AudioOptions(vad=self._settings.default_vad, raw_pcm=raw_pcm),
                    recognition=self._recognition(wish),
                    text=self._text(wish),
                    timeout_s=self._settings.request_timeout_s,
                    id=uuid4().hex,
                    client=self._client,
                )
            )
        return await written(transcription, partial(file_answer, wish, transcription))

    # -- heard while it comes ---------------------------------------------------------------------

    async def _head(self, begin: bytes) -> tuple[bytes, Bare | Skippable | OtherFile]:
        """As much of the sound as tells whether it has a header, and what that says."""
        while (head := wav_head(begin)) is None:
            more = await self._next_sound()
            if more is None:
                return begin, wav_head(begin, complete=True) or OtherFile()
            begin += more
        return begin, head

    async def _live(self, wish: FileWish, begin: bytes, head: Bare | Skippable) -> Closing | None:
        answers = LiveAnswers(wish)
        async with self._service.open_session(self._session(wish, head)) as session:
            live = LiveFile(session, answers, self._line.tell)
            # it watches the client's silence itself
            fault = await self._line.unless_gone(live.run(self._sound(begin, head)))
        await self._line.tell(answers.last(fault))
        await self._acknowledged(wish, answers.error)
        if fault is not None:
            return closing_for(fault)
        return None if live.ending is None else Closing(_GOING_AWAY, live.ending)

    async def _sound(self, begin: bytes, head: Bare | Skippable) -> AsyncIterator[bytes]:
        """Without the header, and without what follows the sound in a wav file."""
        left = head.size_bytes if isinstance(head, Skippable) else None
        piece: bytes | None = begin[head.offset :] if isinstance(head, Skippable) else begin
        while piece is not None:
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            if piece:
                yield piece
            piece = await self._next_sound(patient=True)

    def _session(self, wish: FileWish, head: Bare | Skippable) -> SessionOptions:
        rate_hz = head.sample_rate_hz if isinstance(head, Skippable) else wish.sample_rate_hz
        return SessionOptions(
            client=self._client,
            sound=LiveOptions(sample_rate_hz=rate_hz, vad=self._settings.default_vad),
            turns=TurnOptions(silence_s=_SILENCE_S),
            recognition=self._recognition(wish),
            text=self._text(wish),
        )

    def _recognition(self, wish: FileWish) -> RecognitionOptions:
        word_times = self._service.engine_info().word_times
        return RecognitionOptions(hotwords=wish.hotwords, word_times=word_times)

    def _text(self, wish: FileWish) -> TextOptions:
        return TextOptions(itn=wish.itn and self._itn)


def closing_for(fault: VoxfleetError) -> Closing:
    if isinstance(fault, AudioTooLargeError):
        return Closing(_TOO_LARGE, fault.message)
    if isinstance(fault, DeadlineError):
        return Closing(_GOING_AWAY, fault.message)
    if fault.retryable:
        return Closing(_TRY_LATER, fault.message)
    return Closing(_POLICY if fault.fault is Fault.CLIENT else _INTERNAL, fault.message)
