"""What `voxfleet transcribe` shows while it works: a bar per file and one for all, on stderr.

Knows only sounds done and lengths; `SilentDisplay` is for pipes and logs.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text


@dataclass(slots=True)
class Totals:
    """Sound known and done of all files; lengths not known yet are guessed from their bytes."""

    bytes_by_file: dict[Path, int]
    lengths_s: dict[Path, float] = field(default_factory=dict)
    done_s: dict[Path, float] = field(default_factory=dict)

    @property
    def all_done_s(self) -> float:
        return sum(self.done_s.values())

    @property
    def all_s(self) -> float | None:
        known_bytes = sum(self.bytes_by_file[path] for path in self.lengths_s)
        known_s = sum(self.lengths_s.values())
        if not known_bytes:
            return None
        unknown_bytes = sum(self.bytes_by_file.values()) - known_bytes
        return known_s + unknown_bytes * known_s / known_bytes


def clock_text(seconds: float) -> str:
    """Hours only where there are any: 1:02:03 or 02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


class AudioColumn(ProgressColumn):
    """Sound done and in all, how many times faster than real time, and the time left."""

    def render(self, task: Task) -> Text:
        elapsed_s = task.elapsed or 0.0
        speed = task.completed / elapsed_s if elapsed_s > 0 else 0.0
        total = clock_text(task.total) if task.total else "?"
        text = f"{clock_text(task.completed)}/{total}  {speed:5.1f}x"
        if task.total and speed > 0 and not task.finished:
            text += f"  {clock_text((task.total - task.completed) / speed)} left"
        return Text(text)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


class BarDisplay:
    """Bars for a terminal; finished files leave the screen, the bar for all stays."""

    def __init__(self, inputs: tuple[Path, ...]) -> None:
        self._totals = Totals({path: _size(path) for path in inputs})
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            AudioColumn(),
            console=Console(stderr=True),
            get_time=time.monotonic,
        )
        self._files: dict[Path, TaskID] = {}
        self._all = self._progress.add_task(f"all {len(inputs)}", total=None)
        self._left = len(inputs)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, path: Path) -> None:
        self._files[path] = self._progress.add_task(path.name, total=None)

    def opened(self, path: Path, duration_s: float | None) -> None:
        if duration_s:
            self._totals.lengths_s[path] = duration_s
            self._progress.update(self._files[path], total=duration_s)
        self._show_all()

    def advanced(self, path: Path, done_s: float) -> None:
        self._totals.done_s[path] = done_s
        self._progress.update(self._files[path], completed=done_s)
        self._show_all()

    def ended(self, path: Path, duration_s: float | None) -> None:
        if duration_s is not None:
            self._totals.lengths_s[path] = self._totals.done_s[path] = duration_s
        self._progress.remove_task(self._files.pop(path))
        self._left -= 1
        self._show_all()

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _show_all(self) -> None:
        self._progress.update(
            self._all,
            description=f"all ({self._left} to go)",
            total=self._totals.all_s,
            completed=self._totals.all_done_s,
        )


class SilentDisplay:
    """Nothing but the lines that must be said."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def begin(self, path: Path) -> None: ...
    def opened(self, path: Path, duration_s: float | None) -> None: ...
    def advanced(self, path: Path, done_s: float) -> None: ...
    def ended(self, path: Path, duration_s: float | None) -> None: ...

    def say(self, line: str) -> None:
        if sys.stderr is not None:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


def make_display(inputs: tuple[Path, ...], wanted: bool) -> BarDisplay | SilentDisplay:
    # there is no stderr at all where the shell has closed it
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return BarDisplay(inputs) if wanted and terminal else SilentDisplay()
