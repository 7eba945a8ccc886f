"""Measures the fleet against its goals, all in one run with the `fake` engine; prints one table.

`--only PART` measures one part, `--quick` all of them in less time. A goal that is missed is told
in the table, not by the exit status: timings of a shared machine are noisy.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from bench import fleet_overload, fleet_realtime, fleet_throughput, gateway_cost
from bench.bench_server import started_server
from bench.fleet_goal import Goal, print_load, print_machine, print_table

GATEWAY_MS = 3.5
_UPLOAD_BYTES = 1_000_000
_UPLOADERS = 4


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds for each part; `rounds` is of gateway cost."""

    rounds: int
    throughput_s: float
    batches_s: float
    scaling_s: float
    flood: fleet_overload.Flood
    realtime_s: float
    always_a_file: bool


FULL = Times(5, 5.0, 15.0, 30.0, fleet_overload.Flood(120.0, 40.0, 30.0), 120.0, True)
QUICK = Times(2, 2.0, 3.0, 5.0, fleet_overload.Flood(15.0, 8.0, 10.0), 8.0, False)
Part = Callable[[Times, bool], list[Goal]]


def gateway(times: Times, _: bool) -> list[Goal]:
    print(
        f"gateway: uploads of {_UPLOAD_BYTES:,} bytes by {_UPLOADERS} clients, median of"
        f" {times.rounds} x 200 requests"
    )
    with started_server(gateway_cost.SERVER_ENVIRONMENT) as (address, server):
        process = psutil.Process(server.pid)
        form = gateway_cost.form_of(gateway_cost.wav(_UPLOAD_BYTES))
        uploader = gateway_cost.Uploader(address, form)
        uploader.send(gateway_cost.WARM_UP_REQUESTS, _UPLOADERS)
        costs = [
            gateway_cost.measure(process, uploader, 200, _UPLOADERS) for _ in range(times.rounds)
        ]
    cost_ms = gateway_cost.median_ms(costs)
    least_ms = min(cost.total_ms for cost in costs)
    return [
        Goal(
            "gateway's processor time a request, 1 MB upload",
            f"<= {GATEWAY_MS:g} ms",
            f"{cost_ms:.2f} ms (least {least_ms:.2f})",
            cost_ms <= GATEWAY_MS,
        )
    ]


def throughput(times: Times, profile: bool) -> list[Goal]:
    fleet_throughput.print_throughput(times.throughput_s)
    return asyncio.run(fleet_throughput.segments_a_second(times.throughput_s, profile))


def batches(times: Times, _: bool) -> list[Goal]:
    fleet_throughput.print_batches()
    return asyncio.run(fleet_throughput.batches(times.batches_s))


def scaling(times: Times, _: bool) -> list[Goal]:
    fleet_throughput.print_scaling(times.scaling_s)
    return asyncio.run(fleet_throughput.scaling(times.scaling_s))


def overload(times: Times, _: bool) -> list[Goal]:
    fleet_overload.print_parameters(times.flood)
    return asyncio.run(fleet_overload.overload(times.flood))


def realtime(times: Times, _: bool) -> list[Goal]:
    fleet_realtime.print_parameters(times.realtime_s)
    return asyncio.run(fleet_realtime.realtime(times.realtime_s, always_a_file=times.always_a_file))


PARTS: dict[str, Part] = {
    part.__name__: part for part in (gateway, throughput, batches, scaling, overload, realtime)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--quick", action="store_true", help="under two minutes in all")
    parser.add_argument("--profile", action="store_true", help="of the dispatcher's process, too")
    options = parser.parse_args()
    times = QUICK if options.quick else FULL
    print_machine()
    goals: list[Goal] = []
    for name in options.only:
        goals += PARTS[name](times, options.profile)
        print_load()
    print()
    print_table(goals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
