"""A running fleet as its operators change it: no request fails, whatever they order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.system.operated_rig import OperatedServer, crowd, eventually, operated
from tests.system.test_serve import ask, sound

ONE = '[[pool]]\nmodel = "fake"\ninstances = 2\nmemory_mb = 100\n'
TWO = (
    '[[pool]]\nname = "left"\nmodel = "fake"\n'
    '[[pool]]\nname = "right"\nmodel = "fake"\nweight = 2\n'
    '[[pool]]\nname = "english"\nmodel = "pocketsphinx"\n'
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OperatedServer]:
    with operated(tmp_path, ONE) as running:
        eventually(lambda: running.states() == ["ready", "ready"])
        yield running


def test_restarting_every_worker_in_turn_fails_nobody(server: OperatedServer) -> None:
    before = {row["id"]: row["pid"] for row in server.rows()}
    with crowd(server):
        for worker in before:
            assert server.order(f"/v1/instances/{worker}/restart").status_code == 202
            eventually(lambda: server.states() == ["ready", "ready"])
    after = {row["id"]: row["pid"] for row in server.rows()}
    assert set(before) == set(after)
    assert not set(before.values()) & set(after.values())
    assert [row["restarts"] for row in server.rows()] == [1, 1]


def test_a_drained_worker_leaves_and_comes_back(server: OperatedServer) -> None:
    with crowd(server):
        assert server.order("/v1/instances/fake-0/drain").json()["state"] == "draining"
        eventually(lambda: [row["pid"] for row in server.rows() if row["id"] == "fake-0"] == [None])
        assert server.client.get("/readyz").status_code == 200
        server.order("/v1/instances/fake-0/restart")
        eventually(lambda: server.states() == ["ready", "ready"])


def test_scaling_up_and_down_fails_nobody(server: OperatedServer) -> None:
    with crowd(server):
        assert server.order("/v1/fleet/scale", instances=4).status_code == 202
        eventually(lambda: server.states() == ["ready"] * 4)
        assert server.order("/v1/fleet/scale", pool="fake", instances=1).status_code == 202
        eventually(lambda: server.states() == ["ready"])
    decisions = server.pools()["fake"]["decisions"]
    assert isinstance(decisions, list)
    assert [(d["from"], d["to"]) for d in decisions] == [(4, 1), (2, 4)]
    children = psutil.Process(server.server.process.pid).children()
    assert sum("voxfleet.worker" in child.cmdline() for child in children) == 1


def test_more_than_fits_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    text = '[[pool]]\nmodel = "fake"\ndevice = "cuda:0"\nmemory_mb = 3174\n'
    with operated(tmp_path, text, VOXFLEET_FLEET__SIMULATED_GPUS="6") as server:
        refused = server.order("/v1/fleet/scale", instances=2)
        assert refused.status_code == 409
        assert "2 × 3.1 GiB > 6.0 GiB free on GPU 0" in refused.json()["error"]["message"]
        assert server.states() == ["ready"]
        (card,) = server.client.get("/v1/system").json()["gpus"]
        assert card["memory_total_mb"] == 6442
        assert server.rows()[0]["device"] == "cuda:0"


def test_two_pools_and_two_models_behind_one_address(tmp_path: Path) -> None:
    with operated(tmp_path, TWO) as server:
        eventually(lambda: server.states() == ["ready"] * 3)
        models = [row["id"] for row in server.client.get("/v1/models").json()["data"]]
        assert models == ["fake", "pocketsphinx"]
        with crowd(server, clients=8):
            assert ask(server.client, sound(2), model="pocketsphinx").status_code == 200
            eventually(lambda: all(row["batches"] for row in server.rows()))
        assert ask(server.client, sound(2), model="nobody").status_code == 404
        assert server.rows("english")[0]["model"] == "pocketsphinx"


def test_a_reload_replaces_workers_one_by_one_and_fails_nobody(server: OperatedServer) -> None:
    old = [row["pid"] for row in server.rows()]
    server.settings(
        ONE.replace("instances = 2", "instances = 3") + "batch_size_s = 44\n[fake]\nload_s = 1\n"
    )
    with crowd(server):
        told = server.order("/v1/fleet/reload")
        assert told.status_code == 202
        assert "replaces the workers of fake" in told.json()["message"]
        busy = server.order("/v1/fleet/reload")
        # the successors take a second each to load
        assert busy.status_code == 503
        assert "a reload is being carried out" in busy.json()["error"]["message"]
        eventually(lambda: server.states() == ["ready"] * 3 and not _has(server, old))


def _has(server: OperatedServer, pids: list[object]) -> bool:
    return any(row["pid"] in pids for row in server.rows())


def test_a_signal_reloads_and_pools_and_models_come_and_go(server: OperatedServer) -> None:
    server.settings(TWO)
    with crowd(server):
        server.server.process.send_signal(signal.SIGHUP)
        eventually(lambda: set(server.pools()) == {"left", "right", "english"})
        eventually(lambda: server.states() == ["ready"] * 3)
        assert ask(server.client, sound(2), model="pocketsphinx").status_code == 200
        server.settings(TWO.replace('"pocketsphinx"', '"fake"'))
        server.server.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(server.client.get("/v1/models").json()["data"]) == 1)
        eventually(lambda: server.states("english") == ["ready"])
        assert ask(server.client, sound(2), model="pocketsphinx").status_code == 404


TIGHT = '[[pool]]\nmodel = "fake"\ndevice = "cuda:0"\nmemory_mb = 3174\n'


@pytest.mark.parametrize("fault", ["", "load"])
def test_where_memory_holds_one_the_old_goes_first_and_nobody_is_refused(
    tmp_path: Path, fault: str
) -> None:
    with operated(tmp_path, TIGHT, VOXFLEET_FLEET__SIMULATED_GPUS="6") as server:
        (old,) = [row["pid"] for row in server.rows()]
        server.settings(f'{TIGHT}batch_size_s = 44\n[fake]\nfault = "{fault}"\n')
        with crowd(server):
            assert server.order("/v1/fleet/reload").status_code == 202
            eventually(lambda: not _has(server, [old]) and server.states() == ["ready"])


def test_settings_that_are_wrong_change_nothing(server: OperatedServer) -> None:
    before = server.rows()
    server.settings(ONE + "wieght = 3\n")
    refused = server.order("/v1/fleet/reload")
    assert refused.status_code == 400
    assert "weight" in refused.json()["error"]["message"]
    server.settings('[[pool]]\nmodel = "fake"\ndevice = "cuda:0"\n')
    assert server.order("/v1/fleet/reload").status_code == 409
    assert [row["pid"] for row in server.rows()] == [row["pid"] for row in before]


def test_a_successor_that_cannot_load_leaves_the_old_ones_serving(server: OperatedServer) -> None:
    before = {row["pid"] for row in server.rows()}
    server.settings(ONE + '[fake]\nfault = "load"\n')
    with crowd(server):
        assert server.order("/v1/fleet/reload").status_code == 202
        eventually(lambda: bool(server.pools()["fake"]["decisions"]))
        decisions = server.pools()["fake"]["decisions"]
        assert isinstance(decisions, list)
        assert "told not to load" in decisions[0]["reason"]
        eventually(lambda: {row["pid"] for row in server.rows()} == before)


def test_the_number_of_workers_follows_the_load(tmp_path: Path) -> None:
    text = (
        '[[pool]]\nmodel = "fake"\nmin_instances = 1\nmax_instances = 3\nbatch_size_s = 4\n'
        "[autoscale]\nup_delay_s = 0.5\ndown_delay_s = 1.0\ntarget_wait_s = 0.3\ninterval_s = 0.1\n"
        "[fake]\nspeed = 10\n"
    )
    with operated(tmp_path, text) as server:
        assert len(server.rows()) == 1
        with crowd(server, clients=16):
            eventually(lambda: len(server.rows()) == 3)
        eventually(lambda: len(server.rows()) == 1)
        decisions = server.pools()["fake"]["decisions"]
        assert isinstance(decisions, list)
        assert "waited" in decisions[-1]["reason"]
        refused = server.order("/v1/fleet/scale", instances=4)
        assert refused.status_code == 400
