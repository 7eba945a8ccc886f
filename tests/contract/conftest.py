"""A PostgreSQL for contracts that hold for every kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.postgres_server import OwnPostgres, own_postgres

_numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as running:
        yield running


@pytest.fixture
def postgres_url(postgres: OwnPostgres) -> str:
    """Of an empty database."""
    return postgres.new_database(f"contract_{next(_numbers)}")
