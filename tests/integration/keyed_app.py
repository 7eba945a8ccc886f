"""A gateway over the stand-in service that asks for keys, which lie in a real database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI

from tests.integration.standin_service import StandInService
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import GatewayParts, create_app
from voxfleet.store.access_key import Scope
from voxfleet.store.database import open_database
from voxfleet.store.key_ring import KeyRing
from voxfleet.store.key_store import KeyOrder, KeyStore


@contextmanager
def key_store(data_dir: Path) -> Iterator[KeyStore]:
    database = open_database(data_dir)
    yield KeyStore(database)
    database.close()


def made_key(store: KeyStore, *scopes: Scope, **limits: int) -> str:
    """A key of these scopes, named after them."""
    order = KeyOrder(" ".join(scopes), frozenset(scopes), **limits)
    return store.add(order, 1.0)[1]


def keyed_app(
    folder: Path,
    ring: KeyRing,
    service: StandInService | None = None,
    root_path: str = "",
    cors_origins: tuple[str, ...] = (),
) -> FastAPI:
    settings = GatewaySettings(folder, "9.9", root_path=root_path, cors_origins=cors_origins)
    return create_app(service or StandInService(), settings, GatewayParts(keys=ring))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
