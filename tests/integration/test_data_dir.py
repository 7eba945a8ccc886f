"""The data directory: one server each, cleared of leftovers, closed to others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voxfleet.errors import StartError
from voxfleet.observe.data_dir import open_data_dir, open_scratch_dir

HOLD = (
    "import sys\nfrom pathlib import Path\nfrom voxfleet.observe.data_dir import open_data_dir\n"
    "with open_data_dir(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
)


def test_a_second_server_on_it_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(StartError, match=f"in use by process {holder.pid}"),
            open_data_dir(tmp_path),
        ):
            pass
        holder.kill()
        holder.wait()
    with open_data_dir(tmp_path) as again:
        assert again.spool.is_dir()


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    for name in ("spool/f1/0.pcm", "uploads/x.upload", "run/media"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "old.log").touch()
    with open_data_dir(tmp_path) as folder:
        assert [
            list(scratch.iterdir()) for scratch in (folder.spool, folder.uploads, folder.run)
        ] == [[], [], []]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "logs"]
    assert (tmp_path / "logs" / "old.log").exists()


def test_nobody_else_may_look_into_scratch(tmp_path: Path) -> None:
    with open_data_dir(tmp_path) as folder:
        modes = {
            scratch.stat().st_mode & 0o777 for scratch in (folder.spool, folder.uploads, folder.run)
        }
    assert modes == {0o700}


def test_a_path_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StartError) as caught, open_data_dir(blocked):
        pass
    assert str(blocked) in caught.value.message
    assert "VOXFLEET_DATA_DIR" in caught.value.message
    assert os.linesep not in caught.value.message


def test_an_error_inside_is_not_blamed_on_the_folder(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError), open_data_dir(tmp_path):
        raise TimeoutError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "logs"]


@pytest.fixture
def temp_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_scratch_folder_is_gone_afterwards(temp_home: Path) -> None:
    with open_scratch_dir() as folder:
        assert folder.spool.is_dir()
    assert list(temp_home.iterdir()) == []


def test_scratch_of_a_killed_command_goes_and_of_a_living_one_stays(temp_home: Path) -> None:
    dead, other = temp_home / "voxfleet-scratch-dead", temp_home / "voxfleet-scratch-other"
    for folder in (dead, other):
        folder.mkdir()
    (dead / "lock").touch()
    os.utime(dead / "lock", (0, 0))
    young = temp_home / "voxfleet-scratch-young"
    young.mkdir()
    (young / "lock").touch()
    (other / "mine").touch()
    with open_scratch_dir() as living, open_scratch_dir():
        assert living.spool.is_dir()
        assert not dead.exists()
        assert (other / "mine").exists()
        assert young.exists()


def test_a_link_in_the_temp_folder_is_not_followed(temp_home: Path, tmp_path: Path) -> None:
    precious = temp_home / "precious"
    precious.mkdir()
    (precious / "lock").touch()
    os.utime(precious / "lock", (0, 0))
    (temp_home / "voxfleet-scratch-link").symlink_to(precious)
    with open_scratch_dir():
        pass
    assert (precious / "lock").exists()


def test_the_lock_is_closed_to_others(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "new" / "lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [os.fsdecode(b"t\xff"), "x" * 300])
def test_a_name_that_cannot_be_used_is_one_clear_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError) as caught, open_data_dir(tmp_path / name):
        pass
    assert caught.value.message.isprintable()


def test_a_disk_that_takes_nothing_is_one_clear_line(tmp_path: Path) -> None:
    line = f"ulimit -f 0; {sys.executable} -m voxfleet.cli serve --data-dir {tmp_path} --port 0"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert str(tmp_path) in done.stderr
