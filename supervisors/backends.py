"""Which database a daemon has: the one place where the kinds of them are told apart.

A backend is imported when it is asked for: nothing of psycopg is, where SQLite is used.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from loguru import logger

from holdfast.clock import Clock
from holdfast.errors import ConfigError, StorageError, UnreachableError
from holdfast.storage.database_file import check_file
from holdfast.storage.file_lock import DYING
from holdfast.storage.migrating.ports import Place
from holdfast.storage.ports import Database, Reader
from holdfast.supervisors.secrets import resolved
from holdfast.supervisors.settings import Backend
from holdfast.supervisors.spec import Environment

__all__ = [
    "check_backend",
    "check_same",
    "database_opener",
    "dsn_of",
    "modules_of",
    "place_of",
    "reader_opener",
]

_MISSING: Final = (
    '[storage] backend = "postgresql": psycopg cannot be imported: pip install '
    "'holdfast[postgresql]'"
)


def modules_of(backend: Backend) -> tuple[str, ...]:
    """What a process that is to become its writer or reader imports, beside SQLite's."""
    if backend == "postgresql":
        return (
            "psycopg",
            "holdfast.storage.postgresql.database",
            "holdfast.storage.postgresql.reader",
        )
    return ()


def database_opener(environment: Environment, clock: Clock) -> Callable[[], Database]:
    """What opens the writing side."""
    if environment.backend == "postgresql":
        return partial(_open_postgresql, environment, clock)
    from holdfast.storage.sqlite import SqliteDatabase

    return partial(
        SqliteDatabase,
        environment.database,
        daemon=environment.daemon,
        durability=environment.durability,
        payload_bytes=environment.payload_bytes,
        retention=environment.retention,
        full_text=environment.full_text,
        patience=DYING,
        clock=clock,
    )


def reader_opener(
    environment: Environment, *, statement_timeout: float = 0.0
) -> Callable[[], Reader]:
    """What opens a reading side; a statement that takes longer is ended, 0 lets all run."""
    if environment.backend == "postgresql":
        return partial(_open_postgresql_reader, environment, statement_timeout)
    from holdfast.storage.sqlite import SqliteReader

    return partial(SqliteReader, environment.database, statement_timeout=statement_timeout)


def check_backend(environment: Environment, *, may_wait: bool = False) -> None:
    """Raise ConfigError, SchemaError, StorageError when the database could not be opened.

    Nothing of it is touched, and nothing is made.  ``may_wait``: a server that does not answer is
    the writer's to wait for, where ``outage`` says so.
    """
    if environment.backend != "postgresql":
        check_file(os.path.realpath(environment.database))
        return
    _require_psycopg()
    from holdfast.storage.postgresql.probing import check

    try:
        check(
            dsn_of(environment),
            daemon=environment.daemon,
            home=_home(environment),
            durability=environment.durability,
        )
    except UnreachableError as error:
        if not (may_wait and environment.outage_timeout):
            raise
        logger.warning("{}; starting without it, as [storage] outage says", error)


def check_same(environment: Environment) -> None:
    """Raise StorageError when it is not the database that the daemon's writer has open now."""
    _require_psycopg()
    from holdfast.storage.postgresql.probing import is_used

    if not is_used(dsn_of(environment), daemon=environment.daemon, home=_home(environment)):
        raise StorageError("the daemon's writer has another one open")


def dsn_of(environment: Environment) -> str:
    """With what a reference in it means; no other process is told.  Raises ConfigError."""
    return str(resolved(environment.dsn, "[storage] dsn"))


def _open_postgresql(environment: Environment, clock: Clock) -> Database:
    _require_psycopg()
    from holdfast.storage.postgresql.database import PostgresqlDatabase

    return PostgresqlDatabase(
        dsn_of(environment),
        daemon=environment.daemon,
        home=_home(environment),
        durability=environment.durability,
        payload_bytes=environment.payload_bytes,
        retention=environment.retention,
        full_text=environment.full_text,
        clock=clock,
    )


def _open_postgresql_reader(environment: Environment, statement_timeout: float) -> Reader:
    _require_psycopg()
    from holdfast.storage.postgresql.reader import PostgresqlReader

    return PostgresqlReader(
        dsn_of(environment), daemon=environment.daemon, statement_timeout=statement_timeout
    )


def _home(environment: Environment) -> str:
    """Whose the daemon is: only one root at a time has the lock of that directory."""
    return f"{socket.gethostname()}:{os.path.realpath(environment.data_dir)}"


def _require_psycopg() -> None:
    try:
        import psycopg  # noqa: F401 - it is asked whether it can be
    except ImportError as error:  # itself, or the library of PostgreSQL that it needs
        raise ConfigError(f"{_MISSING} ({error})") from error


def place_of(environment: Environment) -> Place:
    """Where the data is, for who moves it; a reference is resolved.  Raises ConfigError."""
    if environment.backend == "postgresql":
        _require_psycopg()
        return Place(
            backend="postgresql",
            daemon=environment.daemon,
            dsn=dsn_of(environment),
            home=_home(environment),
        )
    return Place(backend=environment.backend, daemon=environment.daemon, path=environment.database)
