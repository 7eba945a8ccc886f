"""Which files the words on a command line mean, and what their transcripts are called.

Looks at names and folders only; opens no file and knows no model.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from voxfleet.errors import UsageError

STANDARD_INPUT = Path("-")

#: what a folder is searched for; a file that is named itself may have any name
MEDIA_SUFFIXES = frozenset(
    {
        ".wav",
        ".wave",
        ".flac",
        ".mp3",
        ".mpga",
        ".mpeg",
        ".ogg",
        ".oga",
        ".opus",
        ".m4a",
        ".m4b",
        ".aac",
        ".webm",
        ".mkv",
        ".mka",
        ".mp4",
        ".mov",
        ".avi",
        ".ts",
        ".3gp",
        ".amr",
        ".awb",
        ".wma",
        ".wmv",
        ".aif",
        ".aiff",
        ".aifc",
        ".caf",
        ".sph",
        ".w64",
        ".rf64",
        ".au",
    }
)

OUTPUT_SUFFIXES = {
    "text": ".txt",
    "json": ".json",
    "verbose_json": ".json",
    "srt": ".srt",
    "vtt": ".vtt",
    "tsv": ".tsv",
}


def find_inputs(words: Sequence[str]) -> list[Path]:
    """Files in the order given, each once: files, folders (searched to the bottom), patterns, `-`.

    Raises UsageError for a word that means nothing; a named file that does not exist is kept, to
    be reported like any other file that fails.
    """
    found: dict[Path, None] = {}
    for word in words:
        found.update(dict.fromkeys(_meaning(word)))
    return list(found)


def _meaning(word: str) -> Iterator[Path]:
    if not word:
        raise UsageError("'' names no file; name a file, a folder, a pattern or -")
    path = Path(word)
    if path == STANDARD_INPUT or _is(path.is_file):
        yield path
    elif _is(path.is_dir):
        yield from _media_in(path)
    elif glob.has_magic(word):
        yield from _matching(word)
    else:
        yield path


def _is(question: Callable[[], bool]) -> bool:
    """False also where the system will not say; opening the file will tell why."""
    try:
        return question()
    except OSError:
        return False


def _media_in(folder: Path) -> list[Path]:
    inside = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file()
    )
    if not inside:
        raise UsageError(f"{folder}: no audio or video file in this folder; name the files")
    return inside


def _matching(pattern: str) -> list[Path]:
    matches = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = [path for path in matches if path.is_file()]
    if not files:
        raise UsageError(f"{pattern}: no file matches this pattern")
    return files


def output_paths(inputs: Sequence[Path], folder: Path, output_format: str) -> dict[Path, Path]:
    """Where each transcript goes: the file's name with the format's ending, no two the same."""
    suffix = OUTPUT_SUFFIXES[output_format]
    stems = Counter(_stem(path) for path in inputs)
    taken: set[str] = set()
    places: dict[Path, Path] = {}
    for path in inputs:
        stem = _stem(path)
        name = _unlike(path.name if stems[stem] > 1 else stem, taken)
        taken.add(name)
        places[path] = folder / (name + suffix)
    return places


def _stem(path: Path) -> str:
    return "stdin" if path == STANDARD_INPUT else path.stem


def _unlike(name: str, taken: set[str]) -> str:
    number = 2
    unlike = name
    while unlike in taken:
        unlike = f"{name}-{number}"
        number += 1
    return unlike
