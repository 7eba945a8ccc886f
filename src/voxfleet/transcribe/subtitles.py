"""Transcripts become subtitle cues of readable size, and these SRT or WebVTT. Pure.

A cue shows the segment's own text; words lend only their times, because they may lack the
punctuation, casing and number formatting the text has. Knows no other output format.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from voxfleet.core import Transcript, TranscriptSegment, Word
from voxfleet.transcribe.stitch import UNSPACED_LETTERS

#: what broadcasters' guides agree on; a Chinese character is two columns wide
LINE_COLUMNS = 42
CUE_LINES = 2
CUE_MAX_S = 7.0
#: the end of a sentence or clause closes a cue that is wider than this
_SENTENCE_COLUMNS = LINE_COLUMNS // 2
#: what an earlier cue keeps when a later one begins almost with it (two channels at once)
_SHARED_MS = 500

_OPENING_WIDE = "「『（《〈【〔"
_OPENING = rf"{_OPENING_WIDE}“‘(\["
#: what a line break must not tear: a word, or one Chinese character, with its punctuation
_UNIT = re.compile(
    rf"[{_OPENING}]{{0,4}}"
    rf"(?:[{UNSPACED_LETTERS}]|[^{UNSPACED_LETTERS}{_OPENING_WIDE}]{{1,{LINE_COLUMNS}}})"
    rf"[^\w{_OPENING}]{{0,4}}"
    rf"|."
)
_SENTENCE_END = re.compile(r"[.!?。！？]\W*\Z")
_CLAUSE_END = re.compile(r"[.!?。！？,;:，、；：]\W*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Cue:
    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class _Unit:
    text: str
    spaced: bool
    columns: int
    start_s: float
    end_s: float


def cues(transcripts: Sequence[Transcript]) -> tuple[Cue, ...]:
    """All cues in time order; none overlaps the next and none is empty."""
    found = [
        cue
        for transcript in transcripts
        for segment in transcript.segments
        for cue in _segment_cues(segment, transcript.channel)
    ]
    return _in_sequence(sorted(found, key=lambda cue: cue.start_ms))


def srt(shown: Sequence[Cue]) -> str:
    return "".join(_srt_cue(number, cue) for number, cue in enumerate(shown, 1))


def vtt(shown: Sequence[Cue]) -> str:
    return "WEBVTT\n\n" + "".join(map(_vtt_cue, shown))


def one_line(text: str) -> str:
    """The text without line breaks, tabs and control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _srt_cue(number: int, cue: Cue) -> str:
    label = f"[{cue.channel}] " if cue.channel else ""
    # SRT has no escape: an arrow inside a text would look like a timing line
    text = "\n".join(cue.lines).replace("-->", "→")
    times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
    return f"{number}\n{times}\n{label}{text}\n\n"


def _vtt_cue(cue: Cue) -> str:
    voice = f"<v {_escaped(cue.channel)}>" if cue.channel else ""
    text = _escaped("\n".join(cue.lines))
    return f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{voice}{text}\n\n"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(time_ms: int, decimal_mark: str) -> str:
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal_mark}{ms:03}"


def _in_sequence(ordered: Iterable[Cue]) -> tuple[Cue, ...]:
    """Take from earlier cues what overlaps later ones, but leave each a visible share."""
    shown: list[Cue] = []
    for cue in ordered:
        start_ms = cue.start_ms
        if shown:
            before = shown[-1]
            share_end_ms = min(before.end_ms, before.start_ms + _SHARED_MS)
            start_ms = max(start_ms, share_end_ms)
            shown[-1] = replace(before, end_ms=min(before.end_ms, start_ms))
        share_ms = max(1, min(_SHARED_MS, cue.end_ms - cue.start_ms))
        end_ms = max(cue.end_ms, start_ms + share_ms)
        shown.append(replace(cue, start_ms=start_ms, end_ms=end_ms))
    return tuple(shown)


def _segment_cues(segment: TranscriptSegment, channel: str | None) -> Iterator[Cue]:
    text = one_line(segment.text)
    if not text:
        return
    units = _timed_units(text, segment)
    if not segment.words:
        yield _cue(units, segment.start_s, segment.end_s, channel)
        return
    for group in _groups(units):
        start_s = group[0].start_s
        end_s = min(max(unit.end_s for unit in group), start_s + CUE_MAX_S)
        yield _cue(group, start_s, end_s, channel)


def _cue(units: Sequence[_Unit], start_s: float, end_s: float, channel: str | None) -> Cue:
    return Cue(round(start_s * 1000), round(end_s * 1000), tuple(_lines(units)), channel)


# -- what is said when ------------------------------------------------------------------------


def _timed_units(text: str, segment: TranscriptSegment) -> list[_Unit]:
    """The text's units; each takes its time from the words that lie where it lies in the text.

    Places are counted in letters. Text and words of one length agree letter by letter; where
    formatting changed the length ("twenty" to "20"), places are stretched in proportion.
    """
    parts = [
        (part, index == 0)
        for chunk in text.split()
        for index, part in enumerate(_UNIT.findall(chunk))
    ]
    ends = list(accumulate(_letters(part) for part, _ in parts))
    timeline = _Timeline(segment)
    scale = timeline.letters / max(ends[-1], 1)
    starts = [0, *ends[:-1]]
    return [
        _Unit(
            part,
            spaced,
            _columns(part),
            timeline.start_at(start * scale),
            timeline.end_at(end * scale),
        )
        for (part, spaced), start, end in zip(parts, starts, ends, strict=True)
    ]


class _Timeline:
    """When each letter of a segment's words was spoken, evenly spread within a word.

    Times never go backwards here, whatever the engine said: text order is the truth.
    """

    def __init__(self, segment: TranscriptSegment) -> None:
        whole = Word("x", segment.start_s, segment.end_s)
        words = [word for word in segment.words if _letters(word.text)] or [whole]
        self._ends = list(accumulate(_letters(word.text) for word in words))
        times_s = [time for word in words for time in (word.start_s, word.end_s)]
        self._times_s = list(accumulate(times_s, max))

    @property
    def letters(self) -> int:
        return self._ends[-1]

    def start_at(self, place: float) -> float:
        """The time after `place` letters, looking forward: at a border, where a word begins."""
        return self._time(bisect_right(self._ends, place), place)

    def end_at(self, place: float) -> float:
        """The same looking back: at a border, where a word ends."""
        return self._time(bisect_left(self._ends, place), place)

    def _time(self, index: int, place: float) -> float:
        index = min(index, len(self._ends) - 1)
        first = self._ends[index - 1] if index else 0
        share = min(1.0, (place - first) / (self._ends[index] - first))
        start_s, end_s = self._times_s[2 * index : 2 * index + 2]
        return start_s + share * (end_s - start_s)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


# -- what fits where --------------------------------------------------------------------------


def _groups(units: Iterable[_Unit]) -> Iterator[list[_Unit]]:
    """Cut at the end of a sentence, or before the cue would become too wide or too long."""
    group: list[_Unit] = []
    for unit in units:
        while group and (_ends_sentence(group) or not _fits([*group, unit])):
            cut = _cut(group)
            yield group[:cut]
            group = group[cut:]
        group.append(unit)
    yield group


def _ends_sentence(group: Sequence[_Unit]) -> bool:
    return bool(_SENTENCE_END.search(group[-1].text)) and _is_wide(group)


def _cut(group: Sequence[_Unit]) -> int:
    """How many units the cue keeps: up to its last comma, if that leaves it wide enough."""
    for count in range(len(group), 0, -1):
        if not _is_wide(group[:count]):
            break
        if _CLAUSE_END.search(group[count - 1].text):
            return count
    return len(group)


def _is_wide(group: Sequence[_Unit]) -> bool:
    return sum(unit.columns + unit.spaced for unit in group) > _SENTENCE_COLUMNS


def _fits(group: Sequence[_Unit]) -> bool:
    if group[-1].end_s - group[0].start_s > CUE_MAX_S:
        return False
    return len(_line_starts(group)) <= CUE_LINES


def _lines(units: Sequence[_Unit]) -> Iterator[str]:
    for start, end in pairwise([*_line_starts(units), len(units)]):
        line = units[start:end]
        yield "".join(" " * unit.spaced + unit.text for unit in line).lstrip()


def _line_starts(units: Sequence[_Unit]) -> list[int]:
    """The indices of the units that begin a line."""
    starts, columns = [0], units[0].columns
    for index, unit in enumerate(units[1:], 1):
        columns += unit.spaced + unit.columns
        if columns > LINE_COLUMNS:
            starts.append(index)
            columns = unit.columns
    return starts


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
