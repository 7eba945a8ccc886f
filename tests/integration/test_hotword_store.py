"""Hotword lists in a real database: numbered for good, dropped in time, there after kill -9."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxfleet.store.database import Database, open_database
from voxfleet.store.hotword_store import KEPT_VERSIONS, HotwordStore


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> HotwordStore:
    return HotwordStore(database)


def test_each_change_is_the_next_version(store: HotwordStore) -> None:
    assert store.present() == ()
    first = store.add("b", ("甲", "New York"), 1.5)
    second = store.add("b", ("x\u2028\0",), 2.5)
    other = store.add("a", ("y",), 3.5)
    assert [first.version, second.version, other.version] == [1, 2, 1]
    assert store.present() == (other, second)
    assert (store.find("b", 1), store.find("b", 2)) == (first, second)
    assert store.versions("b") == (1, 2)
    assert (store.find("b", 3), store.find("c", 1), store.versions("c")) == (None, None, ())


def test_old_versions_go(store: HotwordStore) -> None:
    store.add("other", ("x",), 0.0)
    for n in range(KEPT_VERSIONS + 5):
        store.add("a", (str(n),), float(n))
    assert store.versions("a") == tuple(range(6, KEPT_VERSIONS + 6))
    assert store.versions("other") == (1,)


def test_no_number_comes_again_after_a_removal(store: HotwordStore) -> None:
    store.add("a", ("old",), 1.0)
    store.remove("a", 2.0)
    assert (store.present(), store.versions("a")) == ((), ())
    again = store.add("a", ("new",), 3.0)
    assert again.version == 3
    assert store.present() == (again,)
    assert (store.find("a", 1), store.find("a", 2)) == (None, None)
    # nor does that of a removal after which nothing came
    store.remove("a", 4.0)
    store.remove("a", 5.0)
    assert store.add("a", ("newer",), 6.0).version == 6


def test_removals_do_not_fill_the_disk(database: Database) -> None:
    store = HotwordStore(database, kept_removals=3)
    used: dict[str, int] = {}
    for n in range(10):
        for _ in range(n + 1):
            used[f"list-{n}"] = store.add(f"list-{n}", ("x",), float(n)).version
        store.remove(f"list-{n}", float(n))
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT name FROM hotword_lists ORDER BY name").all()
    assert [name for (name,) in rows] == ["", "list-7", "list-8", "list-9"]
    # also where the row is gone, no number comes again
    for name, last in used.items():
        assert store.add(name, ("y",), 11.0).version > last
    assert [each.name for each in store.present()] == list(used)


WRITER = """
import os, sys
from pathlib import Path
from voxfleet.store.database import open_database
from voxfleet.store.hotword_store import HotwordStore

store = HotwordStore(open_database(Path(sys.argv[1])))
for n in range(10_000):
    made = store.add("a", (f"word {n}",), float(n))
    print(made.version, flush=True)
"""


def test_what_was_answered_is_there_after_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(30)]
        writer.kill()
        told += [int(line) for line in writer.stdout if line.endswith("\n")]
    database = open_database(tmp_path)
    (kept,) = HotwordStore(database).present()
    database.close()
    assert told == list(range(1, len(told) + 1))
    # one more may have been written and not told
    assert kept.version in (told[-1], told[-1] + 1)
    assert kept.words == (f"word {kept.version - 1}",)
