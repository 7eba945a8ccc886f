"""`voxfleet listen`: a terminal client of a running server that shows words as they come.

Brings sound, server and view together; knows signals and exit states.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import sys
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voxfleet.cli_listen_events import (
    LAST_COMMIT,
    NOTHING_LEFT,
    Conversation,
    Finished,
    Order,
    Trouble,
    commit_message,
    read_event,
    setup_message,
    sound_message,
)
from voxfleet.cli_listen_server import Server, open_connection, realtime_address
from voxfleet.cli_listen_sound import PIECE_S, Sound, open_sound
from voxfleet.cli_listen_view import ReaderGoneError, View, make_view
from voxfleet.core import VadMode
from voxfleet.transcribe.hotword_text import split_hotwords


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was written on the command line. `sound` is a file or `-`; raw sound has `rate_hz`."""

    sound: str
    server: Server
    language: str | None = None
    hotwords: str | None = None
    vad: VadMode | None = None
    rate_hz: int = 16_000
    fast: bool = False
    as_json: bool = False


def run_listen(wishes: Wishes) -> int:
    """Everything between the command line and its exit state, which is returned.

    Raises VoxfleetError where there is no sound, no server, or no session as it was wished.
    """
    order = Order(
        language=wishes.language,
        hotwords=split_hotwords(wishes.hotwords or "", "--hotwords"),
        vad=wishes.vad,
    )
    realtime_address(wishes.server)
    sound = open_sound(wishes.sound, wishes.rate_hz)
    view = make_view(as_json=wishes.as_json)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal may know no Chinese
        sys.stdout.reconfigure(errors="backslashreplace")
    listening = Listening(sound, view, is_paced=not (wishes.fast or sound.is_live))
    try:
        with view:
            asyncio.run(listening.run(wishes.server, order))
    except asyncio.CancelledError:
        # a second signal did not want to wait; the exit state says so
        pass
    except ReaderGoneError:
        return 128 + signal.SIGPIPE
    return listening.exit_state


@dataclass
class Listening:
    """One session from its first event to its last."""

    sound: Sound
    view: View
    is_paced: bool
    conversation: Conversation = field(default_factory=Conversation)
    troubles: int = 0
    #: numbers of the signals that came
    stops: list[int] = field(default_factory=list)

    @property
    def exit_state(self) -> int:
        return 128 + self.stops[0] if self.stops else min(1, self.troubles)

    async def run(self, server: Server, order: Order) -> None:
        self._stop_on_signal()
        async with open_connection(server) as connection:
            await connection.send(setup_message(order), text=True)
            while not self.conversation.is_set_up:
                self._take(await connection.recv(decode=True))
            playing = asyncio.create_task(self._play(connection))
            try:
                await self._hear(connection, playing)
            finally:
                playing.cancel()
                # its fault has been raised where it was waited for
                await asyncio.gather(playing, return_exceptions=True)

    async def _hear(self, connection: ClientConnection, playing: asyncio.Task[None]) -> None:
        """Until all is told; raises what breaks the sound off before."""
        hearing = asyncio.create_task(self._take_until_over(connection))
        try:
            done, _ = await asyncio.wait({hearing, playing}, return_when=asyncio.FIRST_EXCEPTION)
            for task in (hearing, playing):
                if task in done:
                    task.result()
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _play(self, connection: ClientConnection) -> None:
        # who hears is told, and after what the server still had to say
        with contextlib.suppress(ConnectionClosed):
            await self._send_all(connection)

    async def _send_all(self, connection: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        async with contextlib.aclosing(self.sound.pieces()) as pieces:
            async for piece in pieces:
                if self.is_paced:
                    due_s += PIECE_S
                    await asyncio.sleep(due_s - loop.time())
                await connection.send(sound_message(piece))
        for warning in self.sound.warnings:
            self.view.say(f"voxfleet: warning: {warning}")
        self.conversation.last_commit_sent = True
        await connection.send(commit_message(LAST_COMMIT), text=True)

    async def _take_until_over(self, connection: ClientConnection) -> None:
        while not self.conversation.last_commit_answered:
            self._take(await connection.recv(decode=True))
        with contextlib.suppress(ConnectionClosed):
            await connection.send(commit_message(NOTHING_LEFT), text=True)
        while not self.conversation.is_over:
            self._take(await connection.recv(decode=True))

    def _take(self, message: str) -> None:
        event = read_event(message)
        self.view.event(message)
        told = self.conversation.take(event)
        self.view.growing(self.conversation.growing)
        if isinstance(told, Finished):
            self.view.finished(told.text)
        elif isinstance(told, Trouble):
            self.troubles += 1
            self.view.say(f"voxfleet: {told.message}")

    def _stop_on_signal(self) -> None:
        """The first one ends the sound, and its text is waited for; a second one does not wait."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (a coroutine always runs in a task)

        def stop(number: int) -> None:
            self.stops.append(number)
            if len(self.stops) == 1 and self.conversation.is_set_up:
                self.sound.stop()
            else:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
