"""`voxfleet keys`: the keys of a data directory added, listed and revoked, server or no server.

The key itself goes to standard output alone, once; knows no settings and no running server.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.cells import cell_len

from voxfleet.store.access_key import Key, Scope
from voxfleet.store.database import open_database
from voxfleet.store.key_store import KeyOrder, KeyStore

_HEAD = ("id", "name", "scopes", "limits", "created", "state")


def add_key(
    data_dir: Path,
    name: str,
    scopes: Sequence[Scope],
    requests_per_minute: int | None,
    concurrent: int | None,
) -> None:
    order = KeyOrder(name, frozenset(scopes), requests_per_minute, concurrent)
    with _opened(data_dir) as store:
        key, secret = store.add(order, time.time())
        is_first = len(store.all_keys()) == 1
    typer.echo(secret)
    told = f"key {key.id} {key.name!r} may: {_scope_names(key)}; it is not shown again"
    if is_first:
        told += "\nit is the first one: from now on every client needs a key"
    typer.echo(told, err=True)


def list_keys(data_dir: Path, as_json: bool) -> None:
    with _opened(data_dir) as store:
        keys = store.all_keys()
    if as_json:
        typer.echo(json.dumps({"data": [_key_object(key) for key in keys]}, ensure_ascii=False))
        return
    if not keys:
        typer.echo("there are no keys: every client may do everything", err=True)
        return
    typer.echo(_as_table([_HEAD, *map(_row, keys)]))


def revoke_key(data_dir: Path, id_or_name: str) -> None:
    with _opened(data_dir) as store:
        key = store.revoke(id_or_name, time.time())
        is_last = not store.known().by_digest
    typer.echo(f"key {key.id} {key.name!r} is revoked", err=True)
    if is_last:
        typer.echo("no key is valid now: every client is refused until one is added", err=True)


@contextmanager
def _opened(data_dir: Path) -> Iterator[KeyStore]:
    """Without the data directory's lock, which is the server's; SQLite has locks of its own."""
    database = open_database(data_dir)
    try:
        yield KeyStore(database)
    finally:
        database.close()


def _key_object(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "requests_per_minute": key.requests_per_minute,
        "concurrent": key.concurrent,
        "created_at": round(key.created_s),
        "revoked_at": None if key.revoked_s is None else round(key.revoked_s),
    }


def _row(key: Key) -> tuple[str, ...]:
    limits = (
        f"{key.requests_per_minute}/min" if key.requests_per_minute else "",
        f"{key.concurrent} at once" if key.concurrent else "",
    )
    return (
        key.id,
        key.name,
        _scope_names(key),
        ", ".join(filter(None, limits)) or "-",
        _day(key.created_s),
        "valid" if key.revoked_s is None else f"revoked {_day(key.revoked_s)}",
    )


def _scope_names(key: Key) -> str:
    return ", ".join(sorted(key.scopes))


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d")


def _as_table(rows: Sequence[Sequence[str]]) -> str:
    # a Chinese character takes two columns of a terminal
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()
