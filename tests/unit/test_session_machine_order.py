"""What holds of a realtime session whatever happens in whatever order: found by trying orders."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.talk_rig import LAG, MS, Said, TalkRig, text_within
from voxfleet.errors import EmptyAudioError
from voxfleet.transcribe.session_contract import Completed, TurnOptions
from voxfleet.transcribe.session_steps import Read
from voxfleet.transcribe.stitch import join_texts

_TEXTS = ("one", "two", "three", "你", "好")

#: pauses and words in milliseconds; now and then somebody goes on for longer than a window
_SPEECH = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 350), st.integers(350, 2_500)),
        st.one_of(st.integers(100, 500), st.integers(100, 12_000)),
        st.sampled_from(_TEXTS),
    ),
    max_size=14,
)
_TURNS = st.builds(
    TurnOptions,
    detect=st.booleans(),
    silence_s=st.sampled_from((0.15, 0.3, 0.5, 1.2)),
    prefix_s=st.sampled_from((0.0, 0.3, 6.0)),
    idle_s=st.sampled_from((None, 1.5)),
)
_CHANCE = st.integers(0, 2**32).map(random.Random)


def words_of(speech: list[tuple[int, int, str]]) -> list[Said]:
    words, at = [], 0
    for pause, length, text in speech:
        start = at + pause * MS
        at = start + length * MS
        words.append(Said(start, at, text))
    return words


def sound_length(words: list[Said]) -> int:
    return (words[-1].end if words else 0) + 2_000 * MS


def play(rig: TalkRig, chance: random.Random, commits: bool = False) -> list[int]:
    """Any slicing and any delays; where the client committed."""
    borders = []
    total = sound_length(list(rig.words))
    while rig.position < total:
        step = chance.choice((30, 100, 300, 3_000)) * MS
        rig.hear(min(chance.randint(1, step), total - rig.position))
        cut_early(rig, chance)
        while rig.in_flight and chance.random() < 0.4:
            rig.answer(chance.choice(list(rig.in_flight)))
        if commits and chance.random() < 0.05:
            borders += try_commit(rig)
    rig.finish()
    return borders


def cut_early(rig: TalkRig, chance: random.Random) -> None:
    """Where a piece ends may be known before its text, and be told again with it."""
    for reading_id, read in list(rig.in_flight.items()):
        if read.quiet_from is not None and chance.random() < 0.3:
            rig.take(rig.machine.cut(reading_id, rig.cut_end(reading_id), rig.now_s))


def try_commit(rig: TalkRig) -> list[int]:
    try:
        rig.commit()
    except EmptyAudioError:
        return []
    return [rig.position]


def utterances(words: list[Said], silence: int) -> list[str]:
    groups: list[list[Said]] = []
    for word in words:
        if groups and word.start - groups[-1][-1].end < max(silence, LAG):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [join_texts(word.text for word in group) for group in groups]


@settings(max_examples=300, deadline=None)
@given(_SPEECH, _TURNS, _CHANCE)
def test_slicing_and_delays_change_no_text(
    speech: list[tuple[int, int, str]], turns: TurnOptions, chance: random.Random
) -> None:
    words = words_of(speech)
    rig = TalkRig(words, turns)
    play(rig, chance)
    rig.check_order()
    if turns.detect:
        assert rig.texts == utterances(words, round(turns.silence_s * 16_000))
    else:
        assert rig.texts == ([join_texts(word.text for word in words)] if words else [])
    for completed in rig.told(Completed):
        told = "".join(rig.deltas(completed.item))
        assert told == completed.text


@settings(max_examples=200, deadline=None)
@given(_SPEECH, _TURNS, _CHANCE)
def test_commits_lose_no_word_and_say_none_twice(
    speech: list[tuple[int, int, str]], turns: TurnOptions, chance: random.Random
) -> None:
    words = words_of(speech)
    rig = TalkRig(words, turns)
    borders = play(rig, chance, commits=True)
    rig.check_order()
    assert join_texts(rig.texts) == join_texts(word.text for word in words)
    if not turns.detect:
        edges = [0, *borders, rig.position]
        expected = [text_within(words, a, b) for a, b in pairwise(edges)]
        assert rig.texts == expected[: len(rig.texts)]
        assert not any(expected[len(rig.texts) :])


def moody(chance: random.Random, words: list[Said], turns: TurnOptions) -> TalkRig:
    """A model that changes its mind with every reading."""

    def model(read: Read, end: int) -> str:
        text = text_within(words, read.start, end)
        swaps = {old: chance.choice(_TEXTS) for old in _TEXTS} if chance.random() < 0.5 else {}
        letters = [swaps.get(word, word) for word in text.split(" ")]
        return join_texts(word for word in letters if chance.random() < 0.9)

    return TalkRig(words, turns, model=model)


def disturb(rig: TalkRig, chance: random.Random) -> None:
    """One of all the things that can happen."""
    kind = chance.choice(("hear", "hear", "hear", "answer", "answer", "fail", "order", "change"))
    if kind == "hear":
        rig.hear(chance.randint(1, 2_000 * MS))
    elif kind == "answer" and rig.in_flight:
        rig.answer(chance.choice(list(rig.in_flight)))
    elif kind == "fail" and rig.in_flight and chance.random() < 0.5:
        rig.fail(chance.choice(list(rig.in_flight)))
    elif kind == "order" and chance.random() < 0.4:
        chance.choice((lambda: try_commit(rig), rig.clear))()
    elif kind == "change" and chance.random() < 0.3:
        silence_s = chance.choice((0.1, 0.5, 2.0))
        rig.machine.change(TurnOptions(chance.random() < 0.5, silence_s, 0.3, 1.0))


@settings(max_examples=400, deadline=None)
@given(_SPEECH, _TURNS, _CHANCE)
def test_whatever_happens_every_utterance_ends_once_and_in_order(
    speech: list[tuple[int, int, str]], turns: TurnOptions, chance: random.Random
) -> None:
    words = words_of(speech)
    rig = moody(chance, words, turns)
    rig.machine.cost_factor = chance.choice((0.0, 0.5, 5.0))
    for _ in range(60):
        disturb(rig, chance)
    rig.finish()
    rig.check_order()
