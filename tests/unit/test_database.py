"""The database of a data directory: private, brought to its schema, refused where it is unfit."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect, select, update
from sqlalchemy.exc import IntegrityError

from voxfleet.errors import OverloadError, StartError, VoxfleetError
from voxfleet.store import job_tables
from voxfleet.store.database import DATABASE_NAME, Database, open_database
from voxfleet.store.hotword_store import HotwordStore
from voxfleet.store.schema import present_schema
from voxfleet.store.tables import SCHEMA, hotword_lists, keys, metadata

ROW = {
    "id": "k1",
    "name": "desk",
    "digest": "0" * 64,
    "scopes": "transcribe",
    "created_s": 1.5,
}


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"
    database = open_database(data_dir)
    with database.write() as connection:
        connection.execute(insert(keys).values(ROW))
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in data_dir.iterdir()}
    assert modes[DATABASE_NAME] == modes[f"{DATABASE_NAME}-wal"] == "0o600"
    assert data_dir.stat().st_mode & 0o777 == 0o700
    database.close()


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    (tmp_path / DATABASE_NAME).chmod(0o644)
    open_database(tmp_path).close()
    assert (tmp_path / DATABASE_NAME).stat().st_mode & 0o777 == 0o600


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    database = open_database(tmp_path)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert job_tables.jobs.name in metadata.tables
        assert compare_metadata(context, metadata) == []
        assert inspect(connection).get_pk_constraint("keys")["name"] == "pk_keys"
        assert present_schema(connection) == SCHEMA
    database.close()


def test_the_constant_is_the_newest_migration(tmp_path: Path) -> None:
    from alembic.script import ScriptDirectory

    from voxfleet.store import schema

    folder = str(Path(schema.__file__).parent.parent / "migrations")
    scripts = ScriptDirectory(folder, version_locations=[folder])
    assert scripts.get_heads() == [SCHEMA]


def test_a_start_that_migrates_nothing_loads_no_alembic(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    code = (
        "import sys, pathlib; from voxfleet.store.database import open_database;"
        "open_database(pathlib.Path(sys.argv[1])).close(); print('alembic' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "False\n"


def test_a_write_is_there_for_the_next_who_opens(tmp_path: Path) -> None:
    words = ["阿里巴巴", "voxfleet"]
    database = open_database(tmp_path)
    with database.write() as connection:
        connection.execute(
            insert(hotword_lists).values(
                name="a", version=1, words=words, created_s=1.5, deleted=False
            )
        )
    database.close()
    database = open_database(tmp_path)
    with database.read() as connection:
        assert connection.execute(select(hotword_lists)).all() == [("a", 1, words, 1.5, False)]
    database.close()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    two_of_one_digest = insert(keys).values([ROW, ROW | {"id": "k2"}])
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(two_of_one_digest)
    with database.read() as connection:
        assert connection.execute(select(keys)).all() == []
    database.close()


def test_a_reader_sees_one_state_and_hinders_no_writer(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with database.read() as reader:
        assert reader.execute(select(keys.c.id)).all() == []
        with database.write() as writer:
            writer.execute(insert(keys).values(ROW))
        assert reader.execute(select(keys.c.id)).all() == []
    database.close()


def test_two_who_read_before_they_write_come_one_after_the_other(tmp_path: Path) -> None:
    """Without a transaction that writes from its start, the second would fail at once."""
    database, other = open_database(tmp_path), open_database(tmp_path)
    with database.write() as first:
        first.execute(insert(keys).values(ROW))
    with database.write() as second:
        assert second.execute(select(keys.c.id)).all() == [("k1",)]
        second.execute(update(keys).values(revoked_s=2.5))
    with other.read() as connection:
        assert connection.execute(select(keys.c.revoked_s)).scalar_one() == 2.5
    database.close()
    other.close()


def refusal(data_dir: Path) -> str:
    with pytest.raises(StartError) as caught:
        open_database(data_dir).close()
    assert caught.value.message.isprintable()
    assert DATABASE_NAME in caught.value.message
    return caught.value.message


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "'9999' is of a newer voxfleet, this one knows up to 0002" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"not a database, but long enough " * 100, b"SQLite format 3"])
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(content)
    assert "file is not a database" in refusal(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == content


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    with (tmp_path / DATABASE_NAME).open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)
    assert "malformed" in refusal(tmp_path)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).mkdir()
    assert "unable to open" in refusal(tmp_path)


def test_a_data_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "VOXFLEET_DATA_DIR" in refusal(tmp_path / "file")
    assert "UTF-8" in refusal(tmp_path / "\udcff")


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("CREATE TABLE hotword_lists (x)")
    connection.close()
    assert "hotword_lists already exists" in refusal(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert tables == [("hotword_lists",)]


def test_faults_do_not_tell_what_was_asked(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as connection:
        connection.execute("DROP TABLE keys")
    connection.close()
    with pytest.raises(VoxfleetError, match="no such table: keys") as caught, database.read() as c:
        c.execute(select(keys).where(keys.c.name == "secret"))
    assert "secret" not in caught.value.message
    database.close()


def fill(database: Database) -> None:
    with database.write() as connection:
        # as many pages as it has already: SQLite then answers as it does for a full disk
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.execute(insert(keys).values(ROW | {"name": "n" * 100_000}))


def test_a_full_disk_is_told_as_one_that_may_have_room_later(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with pytest.raises(OverloadError, match="full") as caught:
        fill(database)
    assert caught.value.retry_after_s
    assert str(tmp_path) not in caught.value.message
    database.close()


def test_a_database_that_is_taken_away_is_told_and_not_written_to(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    taken = (tmp_path / DATABASE_NAME).rename(tmp_path / "taken")
    for transaction in (database.read, database.write):
        with pytest.raises(VoxfleetError, match="removed or replaced"), transaction():
            pass
    shutil.copyfile(taken, tmp_path / DATABASE_NAME)
    with pytest.raises(VoxfleetError, match="removed or replaced"), database.read():
        pass
    database.close()


def test_a_row_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with database.write() as connection:
        row = {"name": "l", "version": 1, "words": ["a"], "created_s": 1.0, "deleted": False}
        connection.execute(insert(hotword_lists).values(row))
        connection.exec_driver_sql("UPDATE hotword_lists SET words = 'no JSON'")
    with pytest.raises(VoxfleetError, match="row cannot be read"):
        HotwordStore(database).present()
    database.close()
