"""What can go wrong while operators change a fleet: nobody who was let in pays for it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from tests.faults.test_worker_faults import SOUND, TEXT
from tests.integration.media_rig import until
from tests.integration.server_process import COMMAND
from tests.integration.worker_rig import LIMIT_S, PoolRig, local_pool, recognise, spool, texts
from tests.system.operated_rig import crowd, eventually, operated
from tests.system.test_serve import ask, sound
from voxfleet.core import Batch
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotReadyError
from voxfleet.pool_contract import WorkerState
from voxfleet.wire.child_process import ChildProcess

SLOW = FakeOptions(fixed_s=0.5)


def unkillable(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What a driver can do to a process: signals change nothing. The real ends are made up for."""
    spared: list[int] = []
    monkeypatch.setattr(ChildProcess, "kill", lambda self: spared.append(self.pid))

    async def terminate(self: ChildProcess, grace_s: float) -> int:
        spared.append(self.pid)
        raise TimeoutError

    monkeypatch.setattr(ChildProcess, "terminate", terminate)
    return spared


def really_end(spared: list[int]) -> None:
    for pid in spared:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


async def test_draining_the_last_worker_finishes_what_it_has(tmp_path: Path) -> None:
    async with local_pool(SLOW) as rig:
        working = asyncio.create_task(recognise(rig.pool, spool(tmp_path, SOUND)))
        await until(lambda: rig.row().busy)
        rig.pool.drain("fake-0", "drained")
        assert texts(await working) == [TEXT]
        await until(lambda: rig.row().pid is None)
        with pytest.raises(NotReadyError, match="every worker has been drained"):
            await rig.pool.room()


async def test_a_room_promised_before_the_last_drain_is_kept(tmp_path: Path) -> None:
    async with local_pool() as rig:
        room = await rig.pool.room()
        rig.pool.drain("fake-0", "drained")
        async with asyncio.timeout(LIMIT_S):
            result = await rig.pool.recognise(Batch("b", (spool(tmp_path, SOUND),)), room)
        assert texts(result) == [TEXT]
        await until(lambda: rig.row().pid is None)


async def serves(rig: PoolRig, folder: Path) -> bool:
    return texts(await recognise(rig.pool, spool(folder, SOUND))) == [TEXT]


async def test_a_process_that_cannot_be_ended_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with local_pool(stop_grace_s=0.2) as rig:
        stuck = rig.pid()
        with monkeypatch.context() as patch:
            spared = unkillable(patch)
            os.kill(stuck, signal.SIGSTOP)
            rig.pool.restart("fake-0", "stuck")
            await until(lambda: rig.row().restarts == 1)
            await until(lambda: rig.row().state is WorkerState.READY)
            assert stuck in spared
        assert rig.pid() != stuck
        assert await serves(rig, tmp_path)
        really_end([stuck])


async def test_a_hung_batch_runs_again_though_its_process_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = FakeOptions(fault="hang@stay")
    async with local_pool(hung, hung_after_s=0.5) as rig:
        stuck = rig.pid()
        with monkeypatch.context() as patch:
            spared = unkillable(patch)
            lost = spool(tmp_path, SOUND, "lost", hotwords=("stay",))
            working = asyncio.create_task(recognise(rig.pool, lost))
            with pytest.raises(Exception, match="hung"):
                await asyncio.wait_for(working, 8.0)
            assert spared == [stuck]
        assert await serves(rig, tmp_path)
        really_end([stuck])


ONE = '[[pool]]\nname = "a"\nmodel = "fake"\n'
ENGLISH = '[[pool]]\nname = "english"\nmodel = "pocketsphinx"\n'


def test_a_model_that_leaves_answers_what_it_was_given(tmp_path: Path) -> None:
    # far more segments than are let into the queue at once
    long = sound(60 * 30)
    with operated(tmp_path, ENGLISH + ONE + "[fake]\nspeed = 500\n") as server:
        eventually(lambda: server.states() == ["ready", "ready"])
        answers: list[httpx.Response] = []

        def wait_for_it() -> None:
            with server.server.client() as client:
                answers.append(ask(client, long, model="fake"))

        asking = threading.Thread(target=wait_for_it)
        asking.start()
        eventually(lambda: any(row["busy"] for row in server.rows("a")))
        server.settings(ENGLISH)
        assert server.order("/v1/fleet/reload").status_code == 202
        eventually(lambda: len(server.client.get("/v1/models").json()["data"]) == 1)
        asking.join(60)
        assert [answer.status_code for answer in answers] == [200]
        assert len(answers[0].json()["text"].split()) > 3000
        eventually(lambda: set(server.pools()) == {"english"})


def test_a_successor_of_another_model_that_cannot_load_leaves_the_old_one(tmp_path: Path) -> None:
    with operated(tmp_path, ONE) as server:
        server.settings('[[pool]]\nname = "a"\nmodel = "pocketsphinx"\ndevice = "cuda:0"\n')
        assert server.order("/v1/fleet/reload").status_code == 409
        broken = tmp_path / "broken"
        broken.mkdir()
        for name in ("config.yaml", "model.pt"):
            (broken / name).write_text("nothing", encoding="utf-8")
        with crowd(server):
            server.settings(f'[[pool]]\nname = "a"\nmodel = "{broken}"\n')
            assert server.order("/v1/fleet/reload").status_code == 202
            eventually(lambda: "reload failed" in str(server.pools()["a"]["decisions"]))
        assert server.client.get("/health").json()["status"] == "ok"


def test_a_renamed_pool_that_cannot_load_leaves_the_old_one(tmp_path: Path) -> None:
    with operated(tmp_path, ONE) as server, crowd(server):
        server.settings(ONE.replace('"a"', '"b"') + '[fake]\nfault = "load"\n')
        assert server.order("/v1/fleet/reload").status_code == 202
        eventually(lambda: bool(server.rows("b")))
        eventually(lambda: server.states("a") == ["ready"] and not server.rows("b"))


def test_a_folder_that_is_no_model_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with operated(tmp_path, ONE) as server:
        server.settings(f'[[pool]]\nmodel = "{tmp_path}"\n')
        refused = server.order("/v1/fleet/reload")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_setting")
        assert server.states() == ["ready"]


def test_orders_while_the_model_loads_are_refused_and_harm_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [*COMMAND, "--port", str(port), "--data-dir", str(tmp_path / "d")]
    slow = {"VOXFLEET_MODEL": "fake", "VOXFLEET_FAKE__LOAD_S": "3"}
    process = subprocess.Popen(command, env=os.environ | slow, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            eventually(lambda: _answers(client))
            for path in ("/v1/instances/fake-0/drain", "/v1/fleet/reload"):
                refused = client.post(path)
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
            process.send_signal(signal.SIGHUP)
            eventually(lambda: client.get("/readyz").status_code == 200)
            assert process.poll() is None
    finally:
        process.terminate()
        process.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def test_where_only_one_fits_a_swap_of_numbers_shrinks_first(tmp_path: Path) -> None:
    def pools(left: int, right: int) -> str:
        table = '[[pool]]\nname = "{}"\nmodel = "fake"\ndevice = "cuda:0"\nmemory_mb = 2500\n'
        return "".join(
            table.format(name) + f"instances = {count}\n"
            for name, count in (("left", left), ("right", right))
        )

    with operated(tmp_path, pools(2, 1), VOXFLEET_FLEET__SIMULATED_GPUS="8") as server:
        eventually(lambda: server.states() == ["ready"] * 3)
        with crowd(server):
            server.settings(pools(1, 2))
            assert server.order("/v1/fleet/reload").status_code == 202
            eventually(lambda: server.states("right") == ["ready", "ready"])
        assert len(server.rows("left")) == 1
