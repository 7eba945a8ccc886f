"""A pool's size over whole days: within its bounds in any history, and never flapping."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from voxfleet.fleet.autoscale import PoolLoad, ScaleRule, ScaleState, ScaleVerdict, decide

TICK_S = 5.0
RATE = 10.0
FITS = 10
#: longer than any stream below needs to find its number
LONG_S = 6000.0

RULES = st.builds(
    lambda least, more, up, down, goal: ScaleRule(least, least + more, up, down, goal),
    st.integers(1, 4),
    st.integers(0, 8),
    st.sampled_from([0.0, 10.0, 60.0]),
    st.sampled_from([10.0, 60.0, 120.0]),
    st.floats(0.5, 30),
)


@st.composite
def loads(draw: st.DrawFn) -> PoolLoad:
    instances = draw(st.integers(0, 14))
    return PoolLoad(
        instances=instances,
        starting=draw(st.integers(0, instances)),
        queued_s=draw(st.just(0.0) | st.floats(0, 1000)),
        rate_per_instance=draw(st.none() | st.floats(0.1, 500)),
        busy_share=draw(st.floats(0, 1)),
        fits=draw(st.integers(0, 14)),
        device_load=draw(st.none() | st.floats(0, 1)),
    )


@given(RULES, st.lists(st.tuples(loads(), st.floats(0.1, 400)), max_size=40), st.booleans())
def test_bounds_and_delays_hold_in_any_history(
    rule: ScaleRule, history: list[tuple[PoolLoad, float]], obeyed: bool
) -> None:
    state, now_s = ScaleState(), 0.0
    instances: int | None = None
    last_up_s = -math.inf
    for seen, passed_s in history:
        now_s += passed_s
        load = seen
        if obeyed and instances is not None:
            load = replace(seen, instances=instances, starting=min(seen.starting, instances))
        verdict, state = decide(rule, load, state, now_s)
        instances = load.instances
        if verdict is None:
            continue
        assert verdict.from_instances == load.instances
        instances = to = verdict.to_instances
        if to > load.instances:
            assert to <= min(rule.max_instances, load.fits)
            last_up_s = now_s
        elif to < load.instances <= rule.max_instances:
            assert to == load.instances - 1 >= rule.min_instances
            assert now_s - last_up_s >= rule.down_delay_s
        elif to < load.instances:
            assert to == rule.max_instances


@given(RULES, loads())
def test_a_load_that_stays_is_answered_with_few_words(rule: ScaleRule, load: PoolLoad) -> None:
    state, told = ScaleState(), list[ScaleVerdict]()
    for tick in range(1000):
        verdict, state = decide(rule, load, state, tick * TICK_S)
        if verdict:
            told.append(verdict)
            load = replace(load, instances=verdict.to_instances)
    turns = [verdict.to_instances - verdict.from_instances for verdict in told]
    # a correction, then up or down but never both, and what stands in the way once
    assert len(told) <= 1 + 14 + 1
    assert not (any(turn > 0 for turn in turns[1:]) and any(turn < 0 for turn in turns[1:]))


@dataclass
class Stream:
    """Sound that arrives evenly, and instances that each compute `RATE` of it once started."""

    offered: float
    start_s: float
    queued_s: float
    born_s: list[float]

    def pass_on(self, now_s: float) -> PoolLoad:
        """What is seen at the end of one tick."""
        ready = sum(now_s - since_s >= self.start_s for since_s in self.born_s)
        can_s = ready * RATE * TICK_S
        work_s = self.queued_s + self.offered * TICK_S
        done_s = min(work_s, can_s)
        self.queued_s = work_s - done_s
        busy = done_s / can_s if ready else 0.0
        count = len(self.born_s)
        return PoolLoad(count, count - ready, self.queued_s, RATE, busy, FITS)

    def resize(self, instances: int, now_s: float) -> None:
        more = max(0, instances - len(self.born_s))
        self.born_s = sorted(self.born_s)[:instances] + [now_s] * more


STREAMS = st.builds(
    Stream,
    offered=st.floats(0, 120),
    start_s=st.floats(0, 60),
    queued_s=st.floats(0, 2000),
    born_s=st.integers(1, 6).map(lambda count: [-math.inf] * count),
)


@given(RULES, STREAMS)
def test_a_steady_stream_is_met_without_flapping(rule: ScaleRule, stream: Stream) -> None:
    state = ScaleState()
    turns: list[tuple[float, int]] = []
    for tick in range(int(LONG_S / TICK_S)):
        now_s = tick * TICK_S
        load = stream.pass_on(now_s)
        verdict, state = decide(rule, load, state, now_s)
        if verdict and verdict.to_instances != load.instances:
            turns.append((now_s, 1 if verdict.to_instances > load.instances else -1))
            stream.resize(verdict.to_instances, now_s)
    if stream.offered <= 0.8 * RATE * min(rule.max_instances, FITS):
        # what had gathered is worked off, but for what gathers while another one is being started
        reaction_s = rule.up_delay_s + stream.start_s + 2 * TICK_S
        wait_s = stream.queued_s / (RATE * len(stream.born_s))
        assert wait_s <= rule.target_wait_s + reaction_s
    # into the bounds, up while it gathers, down when it is worked off: never up again after that
    directions = [direction for _, direction in turns]
    assert sum(one != other for one, other in pairwise(directions)) <= 2
