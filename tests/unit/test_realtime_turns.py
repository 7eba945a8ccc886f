"""Where utterances begin and end, by what a detector says of speech."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from voxfleet.audio.speech import SpeechSpan, SpeechUpdate
from voxfleet.media.live_sound import Heard
from voxfleet.transcribe.realtime_turns import Began, Ended, Silent, Spoken, TurnNews, Turns
from voxfleet.transcribe.session_contract import TurnOptions

MS = 16
_OPTIONS = TurnOptions(silence_s=0.5, prefix_s=0.3)


def heard(
    at: int,
    *spans: tuple[int, int],
    since: int | None = None,
    until: int | None = None,
    settled: int | None = None,
) -> Heard:
    """All in milliseconds."""
    known = (at if since is None else since) if settled is None else settled
    return Heard(
        at * MS,
        SpeechUpdate(
            tuple(SpeechSpan(start * MS, end * MS) for start, end in spans),
            None if since is None else since * MS,
            known * MS,
            None if until is None else until * MS,
        ),
    )


def ms(news: list[TurnNews]) -> list[TurnNews]:
    """The news with positions in milliseconds."""
    return [replace(one, **{name: at // MS for name, at in asdict(one).items()}) for one in news]


def test_an_utterance_begins_with_sound_before_it_and_ends_after_its_silence() -> None:
    turns = Turns(_OPTIONS)
    assert turns.heard(heard(900)) == []
    assert ms(turns.heard(heard(1100, since=1000, until=1100))) == [Began(700), Spoken(1000, 1100)]
    before = turns.speaking
    assert ms(turns.heard(heard(2100, (1000, 2000)))) == [Spoken(1000, 2000)]
    assert (before, turns.speaking) == (True, False)
    assert turns.heard(heard(2499)) == []
    assert ms(turns.heard(heard(2500))) == [Ended(2500)]
    assert not turns.is_open


def test_a_shorter_pause_does_not_end_it_and_a_longer_one_does() -> None:
    turns = Turns(_OPTIONS)
    news = ms(turns.heard(heard(6000, (1000, 2000), (2499, 3000), (3500, 4000))))
    assert news == [
        *(Began(700), Spoken(1000, 2000), Spoken(2499, 3000), Ended(3500)),
        *(Began(3500), Spoken(3500, 4000), Ended(4500)),
    ]


def test_speech_that_may_have_begun_keeps_the_utterance_open() -> None:
    turns = Turns(_OPTIONS)
    turns.heard(heard(2100, (1000, 2000)))
    assert turns.heard(heard(2550, settled=2450)) == []
    assert ms(turns.heard(heard(2600, since=2450, until=2600))) == [Spoken(2450, 2600)]


def test_no_utterance_begins_before_the_one_before_it_ended_or_before_the_session() -> None:
    turns = Turns(TurnOptions(silence_s=0.5, prefix_s=2.0))
    news = ms(turns.heard(heard(3000, (100, 1000), (1900, 2000))))
    assert [one for one in news if isinstance(one, Began)] == [Began(0), Began(1500)]


def test_a_detector_that_was_started_anew_changes_nothing_that_was_told() -> None:
    turns = Turns(_OPTIONS)
    turns.heard(heard(3000, since=1100, until=3000))
    assert ms(turns.heard(heard(2900, since=1000, until=2900))) == [Spoken(1000, 2900)]
    assert (turns.position, turns.settled) == (3000 * MS, 1100 * MS)
    assert ms(turns.heard(heard(3200, (1000, 2950)))) == [Spoken(1000, 2950)]
    assert turns.heard(heard(3499)) == []
    assert ms(turns.heard(heard(3500))) == [Ended(3500)]


def test_without_detection_only_the_client_ends_an_utterance() -> None:
    turns = Turns(TurnOptions(detect=False, idle_s=0.1))
    news = ms(turns.heard(heard(60_000, (1000, 2000), (50_000, 51_000))))
    assert news == [Began(0), Spoken(1000, 2000), Spoken(50_000, 51_000)]
    assert ms(turns.end()) == [Ended(60_000)]
    assert turns.end() == []
    assert turns.fresh == 0


def test_speech_that_goes_on_over_an_end_begins_the_next_utterance_there() -> None:
    turns = Turns(_OPTIONS)
    turns.heard(heard(3000, since=1000, until=3000))
    assert ms(turns.end()) == [Ended(3000)]
    assert turns.heard(heard(3000, (1000, 3000))) == []
    assert ms(turns.heard(heard(3100, since=1000, until=3100))) == [Began(3000), Spoken(3000, 3100)]


def test_an_end_asked_for_in_a_pause_has_the_silence_there_is() -> None:
    turns = Turns(_OPTIONS)
    turns.heard(heard(2200, (1000, 2000)))
    assert ms(turns.end()) == [Ended(2200)]


@pytest.mark.parametrize("step", [10, 700, 20_000])
def test_silence_is_told_once_for_each_stretch_of_it(step: int) -> None:
    turns = Turns(TurnOptions(silence_s=0.5, idle_s=2.0))
    news: list[TurnNews] = []
    for at in range(step, 20_001, step):
        spans = [(5000, 6000)] if at - step < 6000 <= at else []
        news += turns.heard(heard(at, *spans, settled=at if at >= 6000 else min(at, 5000)))
    assert [one for one in ms(news) if isinstance(one, Silent | Began)] == [
        *(Silent(0, 2000), Began(4700), Silent(6500, 8500)),
    ]
