"""From what clients were told to figures: how late, how complete. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from bench.fleet_goal import Goal, percentile
from bench.realtime_player import SILENCE_S, Told, Utterance

STOPPED_GOAL_S = 0.1
FINAL_GOAL_S = 0.4
FIRST_WORDS_GOAL_S = 1.5


@dataclass(frozen=True, slots=True)
class Lateness:
    """Seconds. `stopped` counts from the known end of speech and the silence asked for, `dated`
    from where the server itself says that speech stopped; `final` from the event that told it;
    `first` from the known start of speech."""

    stopped: list[float]
    dated: list[float]
    final: list[float]
    first: list[float]


def lateness(sessions: Sequence[Told]) -> Lateness:
    late = Lateness([], [], [], [])
    for told in sessions:
        for each in told.utterances.values():
            if each.stopped_s is not None and each.stopped_ms is not None:
                late.dated.append(each.stopped_s - each.stopped_ms / 1000)
                if each.completed_s is not None:
                    late.final.append(each.completed_s - each.stopped_s)
        for (start_s, end_s), said in _by_piece(told):
            if (stopped_s := said[-1].stopped_s) is not None:
                late.stopped.append(stopped_s - SILENCE_S - end_s)
            if (first_s := said[0].first_words_s) is not None:
                late.first.append(first_s - start_s)
    return late


def _by_piece(told: Told) -> Iterator[tuple[tuple[float, float], list[Utterance]]]:
    """Each piece of speech with what was told of it: a detector may part one."""
    starts_s = [start_s for start_s, _ in told.track.spoken]
    said: dict[int, list[Utterance]] = {}
    for each in told.utterances.values():
        if each.stopped_ms is not None:
            number = bisect_right(starts_s, each.stopped_ms / 1000 - SILENCE_S) - 1
            said.setdefault(max(0, number), []).append(each)
    for number, utterances in said.items():
        yield told.track.spoken[number], utterances


def goals(
    name: str,
    sessions: Sequence[Told],
    final_goal_s: float = FINAL_GOAL_S,
    *,
    early_words: bool = True,
) -> list[Goal]:
    late = lateness(sessions)
    stopped, dated, final, first = (
        percentile(each, 0.95) for each in (late.stopped, late.dated, late.final, late.first)
    )
    return [
        Goal(
            f"{name}: speech_stopped p95",
            f"< {1000 * STOPPED_GOAL_S:.0f} ms late",
            _milliseconds(late.stopped),
            stopped < STOPPED_GOAL_S,
        ),
        Goal(
            "  as the server dates it",
            f"< {1000 * STOPPED_GOAL_S:.0f} ms late",
            _milliseconds(late.dated),
            dated < STOPPED_GOAL_S,
        ),
        Goal(
            f"{name}: final text p95",
            f"< {1000 * final_goal_s:.0f} ms",
            _milliseconds(late.final),
            final < final_goal_s,
        ),
        Goal(
            f"{name}: first words p95",
            f"< {FIRST_WORDS_GOAL_S:g} s" if early_words else "",
            _milliseconds(late.first),
            first < FIRST_WORDS_GOAL_S if early_words else None,
        ),
        _completeness(name, sessions),
        _agreement(name, sessions),
        Goal(
            "  beside it",
            "",
            f"this client was {1000 * max(t.late_s for t in sessions):.0f} ms late at worst",
        ),
    ]


def _milliseconds(values_s: Sequence[float]) -> str:
    shown = ", ".join(
        f"{word} {1000 * percentile(values_s, share):.0f}"
        for word, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
    )
    return f"{shown} ms ({len(values_s)})"


def _completeness(name: str, sessions: Sequence[Told]) -> Goal:
    lost = sum(not told.is_complete for told in sessions)
    errors = [error for told in sessions for error in told.errors]
    pieces = sum(len(told.track.spoken) for told in sessions)
    heard = sum(len(told.utterances) for told in sessions)
    shown = (
        f"{heard} utterances of {pieces} pieces, {lost} sessions incomplete, {len(errors)} errors"
    )
    if errors:
        shown += f": {errors[0][:80]}"
    return Goal(f"{name}: every word told", "no error", shown, not lost and not errors)


def _agreement(name: str, sessions: Sequence[Told]) -> Goal:
    ended = [u for t in sessions for u in t.utterances.values() if u.completed_s is not None]
    exact = sum(each.grown == each.text for each in ended)
    tail = max((tail_chars(each) for each in ended), default=0)
    # a window of the longest text that may still change
    return Goal(
        f"{name}: deltas = completed",
        "but a tail",
        f"{exact} of {len(ended)} exact, longest tail {tail} characters",
        bool(ended) and _only_tails_differ(ended),
    )


def tail_chars(utterance: Utterance) -> int:
    """How much of the completed text, from its end, the deltas did not say."""
    pairs = zip(utterance.grown, utterance.text, strict=False)
    agreed = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return max(len(utterance.grown), len(utterance.text)) - agreed


def _only_tails_differ(utterances: Iterable[Utterance]) -> bool:
    """Utterances here are shorter than the window: what differs must be after what was told."""
    return all(each.text.startswith(each.grown) or tail_chars(each) <= 80 for each in utterances)
