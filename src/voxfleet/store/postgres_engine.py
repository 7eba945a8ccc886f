"""A PostgreSQL that several servers share, as an engine: no endless wait, one writer at a time.

Knows no table. Tells neither its address nor its password.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from voxfleet.errors import StartError
from voxfleet.store.transactions import writes

_DRIVER = "postgresql+psycopg"
#: any number, the same for every voxfleet: whoever holds it writes
_WRITER = 7_860_001
_CONNECT_TIMEOUT_S = 5
_LOCK_TIMEOUT_S = 5
_STATEMENT_TIMEOUT_S = 30
#: a server that vanished within a transaction must not keep the others from writing
_IDLE_TIMEOUT_S = 10
_CONNECTIONS = 6
#: beside a connection that is lost: the classes of errors that go by themselves. 40 rollbacks, 53
#: no room, 55 a lock that was not to be had, 57 stopped by its operator or by a time limit, 58
#: its system; 25006 while it is a copy of another (SQLSTATE, PostgreSQL's appendix A)
_PASSING = ("08", "25006", "25P03", "40", "53", "55P03", "57", "58")


class PostgresServer:
    """See `database.Backend`; raises StartError where its driver is missing."""

    place = "the PostgreSQL of database.url"
    remedy = ", or name another one in database.url"

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)

    def check(self) -> None:
        """Its connections are tried when they are taken."""

    def passes(self, fault: DBAPIError) -> bool:
        code = getattr(fault.orig, "sqlstate", None)
        if code is None:
            # no answer at all: it is away
            return fault.connection_invalidated or _is_operational(fault)
        return str(code).startswith(_PASSING)

    def told(self, fault: DBAPIError) -> str:
        """In its own words where it answered; the driver's name the address."""
        primary = getattr(getattr(fault.orig, "diag", None), "message_primary", None)
        return str(primary) if primary else "it does not answer"


def _is_operational(fault: DBAPIError) -> bool:
    return type(fault.orig).__name__ in ("OperationalError", "InterfaceError")


def _engine(url: str) -> Engine:
    try:
        address = make_url(url).set(drivername=_DRIVER)
        engine = create_engine(
            address,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_LOCK_TIMEOUT_S,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "keepalives_idle": _IDLE_TIMEOUT_S,
                "keepalives_interval": 5,
                "keepalives_count": 2,
                "tcp_user_timeout": 1_000 * _IDLE_TIMEOUT_S,
                "application_name": "voxfleet",
                "options": _options(),
            },
        )
    except ModuleNotFoundError:
        raise StartError(
            "database.url names a PostgreSQL, whose driver is not installed; install it with"
            " pip install 'voxfleet[postgres]'"
        ) from None
    except (ArgumentError, ValueError):
        raise StartError(
            "database.url cannot be read; write postgresql://user:password@host/database"
        ) from None
    event.listen(engine, "begin", _begin)
    return engine


def _options() -> str:
    limits = {
        "lock_timeout": _LOCK_TIMEOUT_S,
        "statement_timeout": _STATEMENT_TIMEOUT_S,
        "idle_in_transaction_session_timeout": _IDLE_TIMEOUT_S,
    }
    return " ".join(f"-c {name}={1_000 * seconds}" for name, seconds in limits.items())


def _begin(connection: Connection) -> None:
    """Who writes is alone, as in SQLite; who reads sees one state."""
    if writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
