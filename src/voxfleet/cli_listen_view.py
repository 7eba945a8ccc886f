"""How `voxfleet listen` shows what it is told: on a terminal, a line for each, or as events.

Knows no server. Texts may hold anything: what a terminal could obey is never written to one.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from voxfleet.errors import UsageError

#: the others that do not print, such as joiners, belong to the text of some languages
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class ReaderGoneError(Exception):
    """Nobody reads our standard output any more."""


class View(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def event(self, message: str) -> None:
        """One event as the server sent it."""
        ...

    def growing(self, texts: Sequence[str]) -> None:
        """What is not finished yet, each with its text so far."""
        ...

    def finished(self, text: str) -> None: ...
    def say(self, line: str) -> None:
        """Something about the session, on standard error."""
        ...


def printable(text: str) -> str:
    """On one line, and nothing in it that a terminal would obey."""
    one_line = " ".join(text.split())
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", one_line)


class LineView:
    """A finished utterance a line, for a file or a pipe."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def event(self, message: str) -> None: ...
    def growing(self, texts: Sequence[str]) -> None: ...

    def finished(self, text: str) -> None:
        if text:
            _print(printable(text))

    def say(self, line: str) -> None:
        if sys.stderr is not None:
            _tell_stderr(line)


class EventView(LineView):
    """The server's events, one a line."""

    def event(self, message: str) -> None:
        # a server may write its JSON on several lines
        _print(msgspec.json.format(message, indent=-1))

    def finished(self, text: str) -> None: ...


class _LastLines:
    """As much of the end of a text as the terminal has room for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = Text(self._text, style="dim").wrap(console, options.max_width)
        yield Text("\n").join(lines[-max(1, options.size.height - 2) :])


class TerminalView:
    """Growing texts at the bottom of a terminal; each gives way to its finished text."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def event(self, message: str) -> None: ...

    def growing(self, texts: Sequence[str]) -> None:
        self._live.update(_LastLines("\n".join(map(printable, texts))), refresh=True)

    def finished(self, text: str) -> None:
        if text:
            self._console.print(printable(text))

    def say(self, line: str) -> None:
        if sys.stderr is not None and not sys.stderr.isatty():
            _tell_stderr(line)
        else:
            self._console.print(printable(line), style="yellow")


def make_view(*, as_json: bool) -> View:
    """Raises UsageError where there is nothing to write to."""
    if sys.stdout is None:
        raise UsageError("standard output is closed; send it to a file or a pipe")
    if as_json:
        return EventView()
    return TerminalView() if sys.stdout.isatty() else LineView()


def _print(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # the flush at our exit must find an open end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderGoneError from None
    except OSError as fault:
        raise UsageError(f"standard output: cannot be written: {fault.strerror}") from fault


def _tell_stderr(line: str) -> None:
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()
