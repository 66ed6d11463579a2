"""Connections to PostgreSQL the way holdfast needs them, and what it refuses in our words.

No password is ever in an error: what names a server is put together from what is no secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, cast

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from holdfast.errors import (
    ConfigError,
    DamagedError,
    DiskFullError,
    StorageError,
    UnreachableError,
)
from holdfast.storage.postgresql.error_texts import said_of, without_values
from holdfast.storage.postgresql.text import escaped_values, unescaped_row

__all__ = [
    "REFUSALS",
    "Connection",
    "Values",
    "connect",
    "is_lost",
    "is_same_place",
    "named",
    "naming_errors",
    "storage_error",
    "unreachable",
]

# A query that was sent just before a partition hangs for as long as the kernel sends it again:
# neither statement_timeout nor a timeout here ends it, these do.  What a DSN says itself wins.
DEFAULTS: Final[dict[str, str]] = {
    "connect_timeout": "3",  # seconds
    "tcp_user_timeout": "5000",  # milliseconds
    "keepalives_idle": "1",  # seconds, as the next
    "keepalives_interval": "1",
    "keepalives_count": "5",
    "client_encoding": "UTF8",
}
MIN_VERSION: Final = 130000

# What the server or psycopg raise because of a value: that command is refused, no other.
REFUSALS: Final = (
    errors.DataError,
    errors.IntegrityError,
    errors.ProgramLimitExceeded,  # among them: a name too long for an index
    errors.StatementTooComplex,  # JSON nested too deep
    TypeError,
    ValueError,
    OverflowError,
)
# The server ends this session, or is not there.
_LOST: Final = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleSessionTimeout,
    errors.IdleInTransactionSessionTimeout,
)
_CHANGES_NOTHING: Final = ("SELECT", "SAVEPO", "SET ", "SHOW ")


Values = Sequence[object] | Mapping[str, object]  # of %s, or of %(name)s


class Cursor(psycopg.Cursor[TupleRow]):
    """Texts are stored exactly (``text``), and statements that may change something counted."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Cursor:
        """One statement."""
        connection = cast(Connection, self.connection)
        connection.count(query)
        with connection.telling():
            super().execute(query, escaped_values(params), **options)
        return self

    def executemany(self, query: Any, params_seq: Iterable[Any], **options: Any) -> None:
        """One statement with many rows of parameters, all sent before the first answer."""
        connection = cast(Connection, self.connection)
        connection.count(query)
        with connection.telling():
            super().executemany(query, map(escaped_values, params_seq), **options)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **options: Any) -> Iterator[psycopg.Copy]:
        """COPY, in either direction."""
        connection = cast(Connection, self.connection)
        connection.count(statement)
        with connection.telling(), super().copy(statement, params, **options) as copy:
            yield copy


def _exact_rows(cursor: object) -> Callable[[Sequence[Any]], TupleRow]:
    return unescaped_row


class Connection(psycopg.Connection[TupleRow]):
    """``writes`` counts the statements that may have changed something, and the errors.

    In a pipeline statements are sent without waiting for their answers.  Whoever fetches waits
    for all that were sent; so an error may come of an earlier statement, and what follows it is
    not done.
    """

    writes = 0
    _pipe: psycopg.Pipeline | None = None  # where it is one
    _left: ExitStack  # its end

    @property
    def is_pipelined(self) -> bool:
        """Whether answers come later."""
        return self._pipe is not None

    def begin_pipeline(self) -> None:
        """Until ``settle``; nothing where libpq knows no pipelines."""
        if psycopg.Pipeline.is_supported():
            self._left = ExitStack()
            self._pipe = self._left.enter_context(self.pipeline())

    def settle(self) -> None:
        """Wait for all answers, and for each one's own from here on.  Raises the first error."""
        if self._pipe is not None:
            self._pipe = None
            with self.telling():
                self._left.close()

    def close(self) -> None:
        """And the pipeline first, which would speak up when it is forgotten."""
        with suppress(psycopg.Error):
            self.settle()
        super().close()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What psycopg raises in it has no stored values, and has spoiled what was sent."""
        try:
            with without_values():
                yield
        except psycopg.Error:
            self.writes += 1
            raise

    def count(self, query: object) -> None:
        """One more, unless it only asks."""
        if not str(query).lstrip().startswith(_CHANGES_NOTHING):
            self.writes += 1

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        cursor = self.run(sql, values)
        with self.telling():
            return cursor.fetchall()

    def value(self, sql: str, values: Values = ()) -> Any:
        """The first column of the first row; None where there is none."""
        cursor = self.run(sql, values)
        with self.telling():
            row = cursor.fetchone()
        return None if row is None else row[0]

    def run(self, sql: str, values: Values = ()) -> Cursor:
        """One statement.

        Without values a per cent sign stands for itself, with them it is written twice.
        """
        return cast(Cursor, self.cursor()).execute(sql, values or None)

    def did(self, sql: str, values: Values) -> bool:
        """Whether an INSERT, UPDATE or DELETE met a row."""
        return self.value(f"{sql} RETURNING true", values) is not None

    def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement with many rows of parameters; none does nothing."""
        if rows := list(rows):
            self.cursor().executemany(sql, rows)


def connect(dsn: str, *, application: str) -> Connection:
    """A connection whose statements are transactions of their own, until one begins.

    ``application`` is what the server's list of sessions shows.  Raises ConfigError,
    UnreachableError, StorageError.
    """
    conninfo = completed(dsn, application=application)
    where = named(dsn)
    try:
        connection = Connection.connect(conninfo, autocommit=True, cursor_factory=Cursor)
    except psycopg.Error as error:
        raise connect_error(error, where) from None  # its own text may hold what is secret
    connection.row_factory = _exact_rows
    # One size for all numbers: else a statement is prepared anew for each, and sums overflow.
    connection.adapters.register_dumper(int, Int8Dumper)  # in lists
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    try:
        check_server(connection, where)
    except BaseException:
        connection.close()
        raise
    return connection


def completed(dsn: str, *, application: str) -> str:
    """The DSN with what it does not say itself.  Raises ConfigError."""
    given = _parsed(dsn)
    return make_conninfo(**{**DEFAULTS, "application_name": application, **given})


def named(dsn: str) -> str:
    """Which database that is, without what is secret.  Raises ConfigError."""
    given = _parsed(dsn)
    user = f"{given['user']}@" if given.get("user") else ""
    host = given.get("host") or given.get("hostaddr") or ""
    port = f":{given['port']}" if given.get("port") else ""
    name = given.get("dbname") or given.get("user") or ""
    return f"postgresql://{user}{host}{port}/{name}"


def is_same_place(one: str, other: str) -> bool:
    """Whether two name one database of one server, by their words; one that cannot be read does
    not.  They may differ in who comes, with which password, and how."""
    try:
        return _place(one) == _place(other)
    except ConfigError:
        return False


def _place(dsn: str) -> tuple[Any, ...]:
    given = _parsed(dsn)
    where = tuple(given.get(key) or "" for key in ("service", "host", "hostaddr"))
    return *where, given.get("port") or "5432", given.get("dbname") or given.get("user")


def _parsed(dsn: str) -> dict[str, Any]:
    if dsn.startswith(("postgresql://", "postgres://")):
        user, at, behind = dsn.partition("://")[2].partition("?")[0].partition("@")
        if at and ("/" in user or "@" in behind):  # the rest of a password would be a host
            raise ConfigError(
                '[storage] dsn: of a user or a password in "postgresql://..." each "/" is '
                'written %2F, and each "@" %40'
            )
    try:
        return dict(conninfo_to_dict(dsn))
    except psycopg.Error:  # quotes what it cannot read, which may be the password
        raise ConfigError(
            "[storage] dsn: no connection string of PostgreSQL; expected "
            '"postgresql://user@host:5432/database" or "host=... dbname=..."'
        ) from None


def check_server(connection: Connection, where: str) -> None:
    """Raise StorageError for a server that cannot hold what holdfast stores."""
    info = connection.info
    if info.server_version < MIN_VERSION:
        version = info.parameter_status("server_version")
        raise StorageError(
            f"{where}: PostgreSQL {version} is too old; expected {MIN_VERSION // 10_000} or newer"
        )
    encoding = info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StorageError(
            f"{where}: the database is encoded as {encoding}, which cannot hold every text; "
            "create one with ENCODING 'UTF8'"
        )


def is_lost(connection: psycopg.Connection[Any], error: BaseException) -> bool:
    """Whether the error came of the connection's end, so that a new one is needed."""
    return isinstance(error, _LOST) or connection.closed or connection.broken


def connect_error(error: psycopg.Error, where: str) -> StorageError:
    """Why there is no connection, and what to do, without the text of libpq's own error."""
    text = str(error)
    for sign, hint in _SIGNS.items():
        if sign in text:
            return StorageError(f"{where}: {hint}")
    return unreachable(where, next((each for each in _UNREACHABLE if each in text), "no answer"))


def unreachable(where: str, reason: str = "the connection was lost") -> UnreachableError:
    """The server is not there, or not any more."""
    return UnreachableError(
        f"{where}: the server cannot be reached ({reason}); start it, or see whether host and "
        "port of [storage] dsn are right"
    )


# By what libpq says of a server that is there and refuses: it has no codes for it.
_SIGNS: Final = {
    "password authentication failed": "the server refuses user or password of [storage] dsn",
    "no password supplied": "the server asks for a password: give one in [storage] dsn, and "
    'name that as "env:NAME" or "file:PATH" to keep it out of the config',
    "authentication failed": "the server refuses the user of [storage] dsn",
    "no pg_hba.conf entry": "the server lets nobody in from here: add a line to its pg_hba.conf",
    "does not exist": "there is no such database or user: create it (createdb, createuser), or "
    "correct [storage] dsn",
    "permission denied for database": "the user may not connect to that database: GRANT CONNECT",
    "too many": "the server has no connection left for us: raise its max_connections",
    "remaining connection slots": "the server has no connection left for us: raise its "
    "max_connections",
    "server does not support SSL": "the server has no TLS: drop sslmode from [storage] dsn, or "
    "turn TLS on",
    "certificate": "the server's certificate is not accepted: see sslmode and sslrootcert",
}
_UNREACHABLE: Final = (
    "Connection refused",
    "No such file or directory",
    "timeout expired",
    "Name or service not known",
    "could not translate host name",
    "No route to host",
    "Network is unreachable",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "server closed the connection unexpectedly",
)


def storage_error(error: psycopg.Error, where: str) -> StorageError:
    """The same error in our words: what happened, to which database, what to do."""
    said = said_of(error)
    match error:
        case errors.DiskFull():
            hint = "the server's disk is full; free some space, nothing acknowledged is lost"
            return DiskFullError(f"{where}: {said}; {hint}")
        case errors.ReadOnlySqlTransaction():
            hint = "it is read-only: a standby, or default_transaction_read_only is on"
        case errors.InsufficientPrivilege():
            hint = "grant the user of [storage] dsn all rights on schema holdfast"
        case errors.DataCorrupted() | errors.IndexCorrupted():
            hint = "what the server stores is damaged; restore a backup"
            return DamagedError(f"{where}: {said}; {hint}")
        case errors.UndefinedTable() | errors.UndefinedColumn():
            hint = "somebody has changed the tables of schema holdfast"
        case errors.IoError():
            hint = "the server's disk reports an error; look at its log"
        case _:
            hint = f"PostgreSQL says {type(error).__name__}"
    return StorageError(f"{where}: {said}; {hint}")


@contextmanager
def naming_errors(where: str) -> Iterator[None]:
    """Raises StorageError for what psycopg raises."""
    try:
        yield
    except psycopg.Error as error:
        raise storage_error(error, where) from error
