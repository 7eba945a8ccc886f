"""Measures realtime sessions: how late words come, what they cost, and what idle ones hold.

Real servers with the `fake` engine; clients play speech with known ends at its own pace. With
--soak, sessions follow one another for so many minutes, and the growth of memory is fitted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection

from bench.bench_server import started_server
from bench.fleet_goal import Goal, print_load, print_machine, print_table
from bench.fleet_soak import Sample
from bench.realtime_figures import FINAL_GOAL_S, goals
from bench.realtime_player import Told, encoded, open_client, play
from bench.realtime_processes import cpu_s, cpu_since, print_growth, rss_text, unshared_mb, watch
from bench.realtime_sound import FRAME_S, Track, pieces, track
from voxfleet.cli_listen_events import sound_message
from voxfleet.core import SAMPLE_RATE_HZ

SEED = 12
IDLE_SESSIONS = 500
IDLE_GOAL_MB = 300.0
_TRACKS = 10
_LONGEST_PIECE_S = 6.0
#: sessions do not begin on the same moment
_STAGGER_S = 2.0
_OPENED_AT_ONCE = 20
_SETTLE_S = 10.0
SETTINGS = {
    "VOXFLEET_FAKE__SPEED": "1000",
    "VOXFLEET_LOG__LEVEL": "warning",
    "VOXFLEET_REALTIME__MAX_SESSIONS": "1000",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One server and so many sessions."""

    name: str
    settings: Mapping[str, str]
    sessions: int
    final_goal_s: float = FINAL_GOAL_S
    #: whether the engine has the time to read what is not finished
    early_words: bool = True


def cases(sessions: int) -> list[Case]:
    slow_speed = 10
    return [
        Case("1,000x", {}, sessions),
        # finals must come no later where the rest of the text comes rarely
        Case(
            "100x fewer re-reads",
            {"VOXFLEET_REALTIME__REREAD_SHARE": "0.005"},
            sessions,
            early_words=False,
        ),
        Case(
            f"{slow_speed}x",
            {"VOXFLEET_FAKE__SPEED": str(slow_speed)},
            # as much as such an engine can finish
            max(1, sessions // 10),
            FINAL_GOAL_S + _LONGEST_PIECE_S / slow_speed,
            early_words=False,
        ),
    ]


async def play_all(address: str, tracks: list[Track], sessions: int) -> list[Told]:
    messages = [encoded(each) for each in tracks]
    starts_s = np.random.default_rng(SEED).uniform(0, _STAGGER_S, sessions)
    # a pause of ours would look like one of the server's
    gc.collect()
    gc.freeze()

    async def one(number: int) -> Told:
        await asyncio.sleep(float(starts_s[number]))
        return await play(address, tracks[number % _TRACKS], messages[number % _TRACKS])

    return list(await asyncio.gather(*map(one, range(sessions))))


def measure(case: Case, tracks: list[Track], vad: str) -> list[Goal]:
    settings = {**SETTINGS, "VOXFLEET_AUDIO__VAD": vad, **case.settings}
    with started_server(settings) as (address, server):
        root = psutil.Process(server.pid)
        before, began_s = cpu_s(root), time.monotonic()
        told = asyncio.run(play_all(address, tracks, case.sessions))
        took_s = time.monotonic() - began_s
        spent = cpu_since(root, before)
        memory = rss_text(root)
    cost = ", ".join(f"{kind} {seconds / took_s:.1%}" for kind, seconds in sorted(spent.items()))
    return [
        *goals(case.name, told, case.final_goal_s, early_words=case.early_words),
        Goal("  beside it", "", f"{case.sessions} sessions; of a core: {cost}"),
        Goal("  beside it", "", f"RSS: {memory}"),
    ]


async def _hold(address: str, sessions: int, root: psutil.Process) -> list[Goal]:
    """Sessions that were set up and have heard a second of silence."""
    silence = sound_message(bytes(2 * round(FRAME_S * SAMPLE_RATE_HZ)))
    before_mb, before = unshared_mb(root), rss_text(root)
    gate = asyncio.Semaphore(_OPENED_AT_ONCE)

    async def one() -> ClientConnection:
        async with gate:
            connection = await open_client(address)
            for _ in range(round(1 / FRAME_S)):
                await connection.send(silence)
            return connection

    held = await asyncio.gather(*(one() for _ in range(sessions)))
    await asyncio.sleep(_SETTLE_S)
    spent = cpu_s(root)
    await asyncio.sleep(_SETTLE_S)
    busy = sum(cpu_since(root, spent).values()) / _SETTLE_S
    after_mb, after = unshared_mb(root), rss_text(root)
    await asyncio.gather(*(connection.close() for connection in held))
    return [
        Goal(
            f"{sessions} idle sessions",
            f"< {IDLE_GOAL_MB:g} MB",
            f"{after_mb:.0f} MB in all, {after_mb - before_mb:+.0f} MB by them",
            after_mb < IDLE_GOAL_MB,
        ),
        Goal("  RSS before", "", before),
        Goal("  RSS after", "", after),
        Goal("  beside it", "", f"{busy:.1%} of a core while nothing happens"),
    ]


def hold_idle(sessions: int) -> list[Goal]:
    with started_server(SETTINGS) as (address, server):
        return asyncio.run(_hold(address, sessions, psutil.Process(server.pid)))


async def _soak(
    address: str, root: psutil.Process, tracks: list[Track], options: argparse.Namespace
) -> bool:
    seconds = 60 * options.soak
    end_s = time.monotonic() + seconds
    messages = [encoded(each) for each in tracks]
    samples: list[Sample] = []
    watching = asyncio.create_task(watch(root, samples))

    async def one(number: int) -> list[Told]:
        told = []
        while time.monotonic() < end_s:
            told.append(await play(address, tracks[number % _TRACKS], messages[number % _TRACKS]))
            number += 1
        return told

    each = await asyncio.gather(*map(one, range(options.sessions)))
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    is_flat = print_growth(samples, seconds)
    every = [told for session in each for told in session]
    figures = goals("soak", every)
    print_table([*figures, Goal("memory over time", "flat", "see above", is_flat)])
    return is_flat and all(goal.met is not False for goal in figures)


def soak(options: argparse.Namespace, tracks: list[Track]) -> bool:
    settings = {**SETTINGS, "VOXFLEET_AUDIO__VAD": options.vad}
    with started_server(settings) as (address, server):
        return asyncio.run(_soak(address, psutil.Process(server.pid), tracks, options))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each track")
    parser.add_argument("--vad", default="silero", help="silero or energy")
    parser.add_argument("--idle", type=int, default=IDLE_SESSIONS)
    parser.add_argument("--quick", action="store_true", help="the first case alone, for 20 s")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print_machine()
    sound = pieces()
    seconds = min(options.seconds, 20.0) if options.quick else options.seconds
    tracks = [track(sound, seconds, SEED + number) for number in range(_TRACKS)]
    print(
        f"realtime  {options.sessions} sessions, vad {options.vad}, {len(sound)} pieces of speech"
    )
    if options.soak:
        return 0 if soak(options, tracks) else 1
    wanted = cases(options.sessions)[: 1 if options.quick else None]
    figures = [goal for case in wanted for goal in measure(case, tracks, options.vad)]
    figures += hold_idle(options.idle)
    print_table(figures)
    print_load()
    return 1 if any(goal.met is False for goal in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
