"""Hypotheses in any order become transcripts: one per channel, in time order, in file times.

Pure. Knows no model, no output format and no punctuation: it joins texts as they come.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from voxfleet.core import (
    ChannelMode,
    Hypothesis,
    SpooledSegment,
    Transcript,
    TranscriptSegment,
    Word,
)
from voxfleet.errors import VoxfleetError

Piece = tuple[SpooledSegment, Hypothesis]

#: letters of scripts that put no space between words (Chinese, Japanese), for a regex class
UNSPACED_LETTERS = (
    "\u3005-\u3007\u3021-\u3029\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
#: their punctuation, which brings its own white space
_UNSPACED_PUNCTUATION = "\u3000-\u3004\u3008-\u3020\u302a-\u303f\uff00-\uff65"

#: a character that tells the script; quotes, dashes and ASCII punctuation are used by all
_TELLING = rf"[\w{_UNSPACED_PUNCTUATION}]"
_FIRST_TELLING = re.compile(_TELLING)
_LAST_TELLING = re.compile(rf"({_TELLING})[^\w{_UNSPACED_PUNCTUATION}]*\Z")
_UNSPACED = re.compile(f"[{UNSPACED_LETTERS}{_UNSPACED_PUNCTUATION}]")

_CHANNEL_NAMES = ("left", "right")


def stitch(
    pieces: Sequence[Piece],
    duration_s: float,
    model_language: str | None,
    channels: int,
    channel_mode: ChannelMode,
) -> tuple[Transcript, ...]:
    """One transcript per name in `channel_names`, also for a channel nobody spoke on."""
    names = channel_names(channels, channel_mode)
    if len(names) == 1:
        return (_transcript(pieces, duration_s, model_language, names[0]),)
    by_channel: defaultdict[int, list[Piece]] = defaultdict(list)
    for segment, hypothesis in pieces:
        if not 0 <= segment.channel < len(names):
            raise VoxfleetError(
                f"segment {segment.id} is of channel {segment.channel}, but only "
                f"{len(names)} channels are transcribed; please report this"
            )
        by_channel[segment.channel].append((segment, hypothesis))
    return tuple(
        _transcript(by_channel[index], duration_s, model_language, name)
        for index, name in enumerate(names)
    )


def channel_names(channels: int, channel_mode: ChannelMode) -> tuple[str | None, ...]:
    """What the transcripts are called: names only where a recording is really split."""
    if channel_mode is ChannelMode.SPLIT and channels > 1:
        return _CHANNEL_NAMES
    return (None,)


def join_texts(texts: Iterable[str]) -> str:
    """One text of many, with a space at each border where the scripts there want one."""
    joined: list[str] = []
    for text in filter(None, (text.strip() for text in texts)):
        if joined and wants_space(joined[-1], text):
            joined.append(" ")
        joined.append(text)
    return "".join(joined)


def wants_space(left: str, right: str) -> bool:
    """Whether the scripts at the border of two texts put a space there; neither may be empty."""
    last, first = _LAST_TELLING.search(left), _FIRST_TELLING.search(right)
    if last is None or first is None:
        return True
    # as within a segment, where Latin words stand beside Chinese without a space: where a recording
    # was cut must not show
    return not (_UNSPACED.match(last[1]) or _UNSPACED.match(first[0]))


def _transcript(
    pieces: Sequence[Piece], duration_s: float, model_language: str | None, channel: str | None
) -> Transcript:
    ordered = sorted(pieces, key=_place)
    spoken = [piece for piece in ordered if piece[1].text.strip()]
    segments = tuple(_placed(index, *piece) for index, piece in enumerate(spoken))
    return Transcript(
        text=join_texts(segment.text for segment in segments),
        language=_majority_language(spoken or ordered) or model_language,
        duration_s=duration_s,
        segments=segments,
        channel=channel,
    )


def _place(piece: Piece) -> tuple[float, float, str]:
    segment = piece[0]
    return segment.start_s, segment.end_s, segment.id


def _placed(index: int, segment: SpooledSegment, hypothesis: Hypothesis) -> TranscriptSegment:
    return TranscriptSegment(
        index=index,
        start_s=segment.start_s,
        end_s=segment.end_s,
        text=hypothesis.text.strip(),
        words=tuple(in_file_time(word, segment) for word in hypothesis.words),
        avg_logprob=hypothesis.avg_logprob,
        no_speech_prob=hypothesis.no_speech_prob,
        tokens=hypothesis.tokens,
    )


def in_file_time(word: Word, segment: SpooledSegment) -> Word:
    """A word whose times count from its segment's start, at its place in the recording."""
    start_s = min(max(segment.start_s + word.start_s, segment.start_s), segment.end_s)
    end_s = min(max(segment.start_s + word.end_s, start_s), segment.end_s)
    return Word(word.text, start_s, end_s, word.confidence)


def _majority_language(pieces: Sequence[Piece]) -> str | None:
    """The language of most seconds, as heard or else as asked for; the earlier one in a tie."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for segment, hypothesis in pieces:
        language = hypothesis.language or segment.options.language
        if language:
            seconds[language] += segment.duration_s
    return max(seconds, key=seconds.__getitem__, default=None)
