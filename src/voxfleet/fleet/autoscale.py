"""How many instances a pool should have: more under lasting pressure, fewer in lasting quiet. Pure.

Knows no worker, device or clock: it is told a load and the time, and keeps its timers in a state.

Pressure and quiet cannot both be: sound that waits longer than the goal is pressure, and quiet is
when next to none would wait with one instance less. A verdict begins both timers anew, and so does
a number of instances that changed otherwise: each number is given its time to show its effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

#: instances busier than this would have no reserve for a crowd
_BUSY_AFTER = 0.7
#: in quiet, the wait stays under this part of the goal; at no wait at all, one segment that happens
#: to be seen in the queue would begin the quiet anew
_QUIET_WAIT = 0.1
#: before anything is measured: so busy are instances that are too few for what waits
_BUSY_UNMEASURED = 0.9
#: a device this loaded computes no faster for one more instance on it
_SATURATED = 0.95

Obstacle = Literal["most", "memory", "device"]


@dataclass(frozen=True, slots=True)
class ScaleRule:
    """`target_wait_s` is the wait that is still good; the delays are how long a cause must last."""

    min_instances: int
    max_instances: int
    up_delay_s: float
    down_delay_s: float
    target_wait_s: float


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """`instances` is how many there should be now, the `starting` ones among them.

    `rate_per_instance` is audio seconds per second, None before it is measured; `busy_share` the
    part of the last interval that ready workers computed, 0 to 1. `fits` is how many instances
    memory allows in all, those that run included. `device_load` is how busy the device is that the
    next instance would go to, 0 to 1; None where nobody knows.
    """

    instances: int
    starting: int
    queued_s: float
    rate_per_instance: float | None
    busy_share: float
    fits: int
    device_load: float | None = None

    def wait_s(self, instances: int) -> float | None:
        """How long what waits now would wait with so many instances; None when unmeasured."""
        if self.queued_s <= 0:
            return 0.0
        if not self.rate_per_instance:
            return None
        return self.queued_s / (self.rate_per_instance * instances) if instances else math.inf

    def busy_with(self, instances: int) -> float:
        """How busy so many instances would be with what those of now do."""
        if instances:
            return self.busy_share * self.instances / instances
        return math.inf if self.busy_share > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ScaleState:
    """Since when pressure and quiet last, for this many instances; a pool begins with the defaults.

    `told` are the obstacles that were told of during this pressure; `corrected_at_s` is when a
    number outside the rule's bounds was last objected to.
    """

    instances: int | None = None
    pressed_since_s: float | None = None
    quiet_since_s: float | None = None
    corrected_at_s: float | None = None
    told: frozenset[Obstacle] = frozenset()


@dataclass(frozen=True, slots=True)
class ScaleVerdict:
    """What to do and why; the same number twice says why nothing is done, for the log."""

    from_instances: int
    to_instances: int
    reason: str


def decide(
    rule: ScaleRule, load: PoolLoad, state: ScaleState, now_s: float
) -> tuple[ScaleVerdict | None, ScaleState]:
    """Called at short intervals; whoever cannot do what it says is told again after the delay."""
    if state.instances != load.instances:
        state = ScaleState(load.instances, corrected_at_s=state.corrected_at_s)
    bound = min(max(load.instances, min(rule.min_instances, load.fits)), rule.max_instances)
    if bound != load.instances:
        return _correct(rule, load, bound, state, now_s)
    state = replace(state, corrected_at_s=None)
    if _pressed(rule, load):
        return _under_pressure(rule, load, state, now_s)
    state = replace(state, pressed_since_s=None, told=frozenset())
    if _quiet(rule, load):
        return _in_quiet(rule, load, state, now_s)
    return None, replace(state, quiet_since_s=None)


def _pressed(rule: ScaleRule, load: PoolLoad) -> bool:
    wait_s = load.wait_s(load.instances)
    if wait_s is not None:
        return wait_s > rule.target_wait_s
    # nobody knows yet what those that start will make of it
    return load.starting == 0 and (load.busy_share >= _BUSY_UNMEASURED or load.instances == 0)


def _quiet(rule: ScaleRule, load: PoolLoad) -> bool:
    fewer = load.instances - 1
    if load.starting or fewer < rule.min_instances:
        return False
    wait_s = load.wait_s(fewer)
    little_waits = wait_s is not None and wait_s <= _QUIET_WAIT * rule.target_wait_s
    return little_waits and load.busy_with(fewer) < _BUSY_AFTER


# -- bounds ---------------------------------------------------------------------------------------


def _correct(
    rule: ScaleRule, load: PoolLoad, bound: int, state: ScaleState, now_s: float
) -> tuple[ScaleVerdict | None, ScaleState]:
    """A number outside the bounds is put right at once; what cannot be done is not said at once."""
    last_s = state.corrected_at_s
    if last_s is not None and now_s - last_s < rule.up_delay_s:
        return None, state
    reason = (
        f"{_are(load.instances)} fewer than the least of {rule.min_instances}"
        if bound > load.instances
        else f"{_are(load.instances)} more than the most of {rule.max_instances}"
    )
    if bound > load.instances and bound < rule.min_instances:
        reason += f", and memory allows {load.fits}"
    return _changed(load, bound, reason, replace(state, corrected_at_s=now_s))


# -- up -------------------------------------------------------------------------------------------


def _under_pressure(
    rule: ScaleRule, load: PoolLoad, state: ScaleState, now_s: float
) -> tuple[ScaleVerdict | None, ScaleState]:
    since_s = now_s if state.pressed_since_s is None else state.pressed_since_s
    state = replace(state, pressed_since_s=since_s, quiet_since_s=None)
    if now_s - since_s < rule.up_delay_s:
        return None, state
    needed = _needed(rule, load)
    allowed = max(load.instances, min(needed, rule.max_instances, load.fits))
    pressure = _pressure(rule, load, now_s - since_s)
    if _saturated(load):
        return _held_back(load, "device", f"{pressure}, but {_device(load)}", state)
    if allowed > load.instances:
        limit = f", and {_limit(rule, load)}" if allowed < needed else ""
        return _changed(load, allowed, pressure + limit, state)
    obstacle: Obstacle = "memory" if load.fits < rule.max_instances else "most"
    return _held_back(load, obstacle, f"{pressure}, but {_limit(rule, load)}", state)


def _needed(rule: ScaleRule, load: PoolLoad) -> int:
    """As many as bring the wait under the goal; one more where nothing is measured."""
    if not load.rate_per_instance:
        return load.instances + 1
    goal = load.queued_s / load.rate_per_instance / max(rule.target_wait_s, 1e-9)
    # beyond the bounds the number itself does not matter
    return max(load.instances + 1, math.ceil(min(goal, 1e6)))


def _saturated(load: PoolLoad) -> bool:
    # with no instance at all, the load is somebody else's and says nothing of one more
    return load.instances > 0 and load.device_load is not None and load.device_load > _SATURATED


def _held_back(
    load: PoolLoad, obstacle: Obstacle, reason: str, state: ScaleState
) -> tuple[ScaleVerdict | None, ScaleState]:
    """Told once for each obstacle while the pressure lasts."""
    if obstacle in state.told:
        return None, state
    verdict = ScaleVerdict(load.instances, load.instances, f"{reason}; stays {load.instances}.")
    return verdict, replace(state, told=state.told | {obstacle})


def _pressure(rule: ScaleRule, load: PoolLoad, lasted_s: float) -> str:
    wait_s = load.wait_s(load.instances)
    waits = f"{load.queued_s:.1f} s of sound"
    if load.instances == 0:
        return f"{waits} waited for {lasted_s:.0f} s and no instance is there"
    if wait_s is None:
        return (
            f"{waits} waited for {lasted_s:.0f} s behind {_count(load.instances)},"
            f" busy {load.busy_share:.0%} of the time"
        )
    return (
        f"{waits} for {_count(load.instances)} at {load.rate_per_instance:.1f} times real time"
        f" waited {wait_s:.1f} s, over the goal of {rule.target_wait_s:g} s for {lasted_s:.0f} s"
    )


def _limit(rule: ScaleRule, load: PoolLoad) -> str:
    if load.fits < rule.max_instances:
        return f"memory allows {load.fits}"
    return f"{rule.max_instances} are the most allowed"


def _device(load: PoolLoad) -> str:
    return f"the device is at {load.device_load or 0:.0%} already and would be no faster for it"


# -- down -----------------------------------------------------------------------------------------


def _in_quiet(
    rule: ScaleRule, load: PoolLoad, state: ScaleState, now_s: float
) -> tuple[ScaleVerdict | None, ScaleState]:
    since_s = now_s if state.quiet_since_s is None else state.quiet_since_s
    if now_s - since_s < rule.down_delay_s:
        return None, replace(state, quiet_since_s=since_s)
    fewer = load.instances - 1
    after = f"; {fewer} would be busy {load.busy_with(fewer):.0%}" if fewer else ""
    reason = (
        f"{_count(load.instances)} had little to do for {now_s - since_s:.0f} s: busy"
        f" {load.busy_share:.0%} of the time with {load.queued_s:.1f} s of sound waiting{after}"
    )
    return _changed(load, fewer, reason, state)


# -- words ----------------------------------------------------------------------------------------


def _changed(
    load: PoolLoad, to: int, reason: str, state: ScaleState
) -> tuple[ScaleVerdict, ScaleState]:
    verdict = ScaleVerdict(load.instances, to, f"{reason}; {load.instances} → {to}.")
    return verdict, ScaleState(to, corrected_at_s=state.corrected_at_s)


def _count(instances: int) -> str:
    return f"{instances} instance{'' if instances == 1 else 's'}"


def _are(instances: int) -> str:
    return f"{_count(instances)} {'is' if instances == 1 else 'are'}"
