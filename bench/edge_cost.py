"""Measures what a small request costs at the gateway's edge: with and without a key, and before.

Starts one server for each arm: another tree's (--src), this tree's without keys, and this tree's
with one. In every round wrk asks each of them in turn, for GET /health and for a short recording
that the `fake` engine answers at once; figures are medians, ratios are of the same round, so
that a machine that changes its pace changes little. Knows nothing of the gateway's inside.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.bench_server import started_server
from bench.gateway_cost import BOUNDARY, form_of, wav

#: an engine that answers at once, no speech detection, and no log: what is left is the edge
QUICK = {
    "VOXFLEET_FAKE__SPEED": "1000000",
    "VOXFLEET_AUDIO__VAD": "off",
    "VOXFLEET_LOG__LEVEL": "error",
}
#: half a second of sound
UPLOAD_BYTES = 16_044
KINDS = ("health", "upload")
_VOXFLEET = (sys.executable, "-m", "voxfleet.cli")
_ANSWERED = re.compile(r"(\d+) requests in ")
_PER_S = re.compile(r"Requests/sec:\s+([\d.]+)")
_REFUSED = re.compile(r"Non-2xx or 3xx responses: \d+|Socket errors: .*")
_KEY = re.compile(r"\bvf-[\w-]{43}")


@dataclass(frozen=True, slots=True)
class Arm:
    """A server that is measured; `key` is sent along where there is one."""

    name: str
    address: str
    gateway: psutil.Process
    key: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What wrk saw of one arm in one round, and what it cost the gateway's process."""

    per_s: float
    cpu_ms: float


Samples = dict[tuple[str, str], list[Sample]]


def main() -> int:
    options = read_options()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; Debian, Ubuntu: apt install wrk")
    if options.src is not None and not (options.src / "voxfleet").is_dir():
        # else this tree would be compared with itself
        raise SystemExit(f"{options.src} holds no voxfleet; name the src folder of another tree")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vox-edge-")))
        arms = [stack.enter_context(arm) for arm in started_arms(folder, options.src)]
        load = Load(folder, options.connections, options.seconds)
        samples = measure(arms, load, options.rounds)
    report([arm.name for arm in arms], samples)
    return 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--src", type=Path, help="the src folder of a tree to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--connections", type=int, default=4)
    return parser.parse_args()


# -- servers --------------------------------------------------------------------------------------


def started_arms(folder: Path, src: Path | None) -> Iterator[AbstractContextManager[Arm]]:
    """The arm that the others are compared with is the first."""
    if src is not None:
        yield started_arm("before", folder, {"PYTHONPATH": str(src.resolve())})
    yield started_arm("now", folder, {})
    yield started_arm("now, with a key", folder, {}, keyed=True)


@contextmanager
def started_arm(
    name: str, folder: Path, settings: Mapping[str, str], *, keyed: bool = False
) -> Iterator[Arm]:
    data_dir = folder / name.replace(" ", "-")
    key = new_key(data_dir) if keyed else ""
    environment = {**QUICK, **settings, "VOXFLEET_DATA_DIR": str(data_dir)}
    with started_server(environment) as (address, server):
        yield Arm(name, address, psutil.Process(server.pid), key)


def new_key(data_dir: Path) -> str:
    command = [*_VOXFLEET, "keys", "add", "bench", "--data-dir", str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shown = _KEY.search(done.stdout)
    if shown is None:
        raise SystemExit(f"`voxfleet keys add` showed no key: {done.stdout}")
    return shown[0]


# -- load -----------------------------------------------------------------------------------------


class Load:
    """wrk with a request of each kind, for a while."""

    def __init__(self, folder: Path, connections: int, seconds: int) -> None:
        self._folder = folder
        self._connections = connections
        self._seconds = seconds
        (folder / "form").write_bytes(form_of(wav(UPLOAD_BYTES)))

    def sample(self, arm: Arm, kind: str) -> Sample:
        before_s = _cpu_s(arm.gateway)
        told = self._ask(arm, kind)
        spent_s = _cpu_s(arm.gateway) - before_s
        if fault := _REFUSED.search(told):
            raise SystemExit(f"{arm.name}, {kind}: {fault[0]}")
        return Sample(_number(_PER_S, told), 1000 * spent_s / _number(_ANSWERED, told))

    def _ask(self, arm: Arm, kind: str) -> str:
        path = "/health" if kind == "health" else "/v1/audio/transcriptions"
        command = ["wrk", "-t1", f"-c{self._connections}", f"-d{self._seconds}s"]
        script = self._folder / f"{kind}.lua"
        script.write_text(self._script(arm, kind))
        done = subprocess.run(
            [*command, "-s", str(script), arm.address + path],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        return done.stdout

    def _script(self, arm: Arm, kind: str) -> str:
        lines = [f'wrk.headers["Authorization"] = "Bearer {arm.key}"'] if arm.key else []
        if kind == "upload":
            form_type = f"multipart/form-data; boundary={BOUNDARY}"
            lines += [
                'wrk.method = "POST"',
                f'wrk.headers["Content-Type"] = "{form_type}"',
                f'wrk.body = io.open("{self._folder}/form", "rb"):read("*a")',
            ]
        return "\n".join(lines) + "\n"


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _number(pattern: re.Pattern[str], told: str) -> float:
    found = pattern.search(told)
    if found is None:
        raise SystemExit(f"wrk said nothing of {pattern.pattern!r}: {told}")
    return float(found[1])


def measure(arms: Sequence[Arm], load: Load, rounds: int) -> Samples:
    """One round is not counted: imports, caches, first connections."""
    samples: Samples = {(arm.name, kind): [] for kind in KINDS for arm in arms}
    for number in range(rounds + 1):
        for kind in KINDS:
            for turn in range(len(arms)):
                # another one begins each time: the machine's own changes favour none
                arm = arms[(turn + number) % len(arms)]
                taken = load.sample(arm, kind)
                if number:
                    samples[arm.name, kind].append(taken)
    return samples


# -- figures --------------------------------------------------------------------------------------


def report(names: Sequence[str], samples: Samples) -> None:
    first = names[0]
    for kind in KINDS:
        print(f"{kind:<18}{'requests/s':>11}{'ms of CPU':>11}   against {first!r}")
        for name in names:
            mine, others = samples[name, kind], samples[first, kind]
            per_s, cpu_ms = _medians(mine)
            print(f"  {name:<16}{per_s:>11.0f}{cpu_ms:>11.3f}   {_ratios(mine, others)}")


def _medians(taken: Sequence[Sample]) -> tuple[float, float]:
    return (
        statistics.median(sample.per_s for sample in taken),
        statistics.median(sample.cpu_ms for sample in taken),
    )


def _ratios(mine: Sequence[Sample], others: Sequence[Sample]) -> str:
    pairs = list(zip(mine, others, strict=True))
    per_s = statistics.median(a.per_s / b.per_s for a, b in pairs)
    cpu = statistics.median(a.cpu_ms / b.cpu_ms for a, b in pairs)
    return f"requests/s {per_s:5.3f}, CPU {cpu:5.3f}"


if __name__ == "__main__":
    sys.exit(main())
