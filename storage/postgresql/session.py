"""The writer's one session with the server: taken over from whoever had it, fenced, numbered.

Who opens it ends the session before it, raises the epoch, and only then reads: no COMMIT that was
under way can surprise it.  Every transaction holds the row of its daemon and counts up
``commits`` in it, so that one whose COMMIT was not answered is found again, or is known not to be
there.  (The server's own numbers of transactions would not do: those it had not written down when
it was killed are given again.)
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec
import psycopg

from holdfast.errors import AlreadyRunningError, FencedError, StorageError
from holdfast.storage.migrating.labels import LABEL, STANDING, require_whole
from holdfast.storage.postgresql.connection import Connection, Cursor, connect
from holdfast.storage.postgresql.schema import migrate

__all__ = ["Session", "open_session", "require_fsync"]

# A lock that somebody holds by hand is not waited for without end.
LOCK_TIMEOUT: Final = 5_000  # milliseconds
END_TIMEOUT: Final = 5_000  # milliseconds for the session before this one to end

# Sent to the server: it notices that this machine is gone, and then lets another one in.
_SETTINGS: Final = f"""
SET search_path = holdfast; SET statement_timeout = 0; SET lock_timeout = {LOCK_TIMEOUT};
SET idle_in_transaction_session_timeout = 0; SET jit = off; SET client_min_messages = warning;
SET default_transaction_isolation = 'read committed'; SET tcp_keepalives_idle = 1;
SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 5
"""
_BEFORE: Final = """
SELECT d.home, d.pid FROM daemons AS d
JOIN pg_stat_activity AS a ON a.pid = d.pid AND a.backend_start::text = d.started
WHERE d.daemon = %s AND d.pid <> pg_backend_pid()
"""
_TAKE: Final = """
INSERT INTO daemons AS d (daemon, epoch, commits, home, pid, started)
SELECT %(daemon)s, 1, 0, %(home)s, pid, backend_start::text
FROM pg_stat_activity WHERE pid = pg_backend_pid()
ON CONFLICT (daemon) DO UPDATE SET epoch = d.epoch + 1, home = excluded.home, pid = excluded.pid,
    started = excluded.started
RETURNING epoch, commits
"""
# As SQLite's file has them from its first step on.
_FIRST_ROWS: Final = """
INSERT INTO meta (daemon, name, value) VALUES (%(daemon)s, 'deleted_seq', '0')
ON CONFLICT DO NOTHING
"""
_NEXT: Final = """
UPDATE daemons SET commits = commits + 1 WHERE daemon = %s AND epoch = %s RETURNING commits
"""


class Session(msgspec.Struct):
    """``commits`` counts those of all writers of the daemon, as far as this one knows."""

    connection: Connection
    daemon: str
    where: str
    epoch: int
    commits: int
    _taken: Cursor | None = None  # the answer to who holds the row, until it is looked at

    def begin(self, *, is_pipelined: bool = False) -> None:
        """A transaction that only the owner of the epoch can commit.

        Pipelined, it is not known before ``hold`` whether this is the owner.
        Raises FencedError, psycopg.Error.
        """
        if is_pipelined:
            self.connection.begin_pipeline()
        self.connection.run("BEGIN")
        self._taken = self.connection.run(_NEXT, (self.daemon, self.epoch))
        if not is_pipelined:
            self.hold()

    def hold(self) -> None:
        """Make sure of the epoch; before COMMIT is sent, which cannot be called back.

        Raises FencedError, psycopg.Error.
        """
        if self._taken is None:
            return
        taken, self._taken = self._taken, None
        with self.connection.telling():
            row = taken.fetchone()
        if row is None:
            sql = "SELECT epoch FROM daemons WHERE daemon = %s"
            stored = self.connection.value(sql, (self.daemon,))
            raise _fenced(self.daemon, self.where, self.epoch, stored)
        self.commits = row[0]

    def commit(self) -> None:
        """After ``hold``.

        Raises psycopg.Error; StorageError when the server has taken it back without one.
        """
        cursor = self.connection.run("COMMIT")
        self.connection.settle()
        done = cursor.statusmessage
        if done != "COMMIT":
            raise StorageError(f"{self.where}: COMMIT was answered by {done}: nothing is stored")

    def rollback(self) -> None:
        """Raises psycopg.Error."""
        self._taken = None
        with suppress(psycopg.Error):  # what it is taken back for
            self.connection.settle()
        self.connection.run("ROLLBACK")


def open_session(
    dsn: str,
    *,
    daemon: str,
    home: str,
    where: str,
    epoch: int | None = None,
    is_filling: bool = False,
) -> Session:
    """Make the tables where there are none, and become the daemon's only writer.

    ``epoch``: the writer's until now, whose connection was lost.  ``is_filling``: it may be half
    filled by a swap, and is not looked at.  Raises FencedError when it is
    not the daemon's any more; AlreadyRunningError, UnreachableError, SchemaError, StorageError,
    psycopg.Error.
    """
    connection = connect(dsn, application=f"holdfast {daemon} writing")
    try:
        connection.run("SET client_min_messages = warning")
        migrate(connection, where)
        connection.run(_SETTINGS)
        _commit_for_sure(connection)
        if epoch is not None:
            _check_epoch(connection, daemon, epoch, where)
        _end_before(connection, daemon, home, where)
        with connection.transaction():
            connection.run(_FIRST_ROWS, {"daemon": daemon})
            values = {"daemon": daemon, "home": home}
            taken, commits = connection.rows(_TAKE, values)[0]
            if not is_filling:
                _settle_label(connection, daemon, where)
            if epoch is not None and taken != epoch + 1:
                raise _fenced(daemon, where, epoch, taken)
    except BaseException:
        connection.close()
        raise
    return Session(connection, daemon, where, taken, commits)


def _settle_label(connection: Connection, daemon: str, where: str) -> None:
    """Refuse what a swap has half filled, or left; the first writer of what it filled says so."""
    values = (daemon, LABEL)
    text = connection.value("SELECT value FROM meta WHERE daemon = %s AND name = %s", values)
    if text is not None:
        require_whole(text, where)
        sql = "DELETE FROM meta WHERE daemon = %s AND name IN (%s, %s)"
        connection.run(sql, (*values, STANDING))


def _check_epoch(connection: Connection, daemon: str, epoch: int, where: str) -> None:
    """Before anybody's session is ended: that of the writer that replaced this one is not ours."""
    stored = connection.value("SELECT epoch FROM daemons WHERE daemon = %s", (daemon,))
    if stored != epoch:
        raise _fenced(daemon, where, epoch, stored)


def _fenced(daemon: str, where: str, epoch: int, stored: int | None) -> FencedError:
    return FencedError(
        f"{where}: opened by {daemon!r} as epoch {epoch}, but a writer of epoch {stored} has it "
        "now; this process must end"
    )


def require_fsync(connection: Connection, where: str) -> None:
    """Raise StorageError when a COMMIT on this server does not survive power loss."""
    if connection.value("SHOW fsync") == "off":
        raise StorageError(
            f'{where}: the server runs with fsync = off, so durability = "disk" would be a lie: '
            'turn it on, or ask for "committed"'
        )


def _commit_for_sure(connection: Connection) -> None:
    """COMMIT returns when it is on the server's disk, or surer still if the server says so.

    Off, it would survive our processes, and not the server's: that is no level of ours.
    """
    if connection.value("SHOW synchronous_commit") == "off":
        connection.run("SET synchronous_commit = on")


def _end_before(connection: Connection, daemon: str, home: str, where: str) -> None:
    """End the session that an earlier life of this daemon left, with whatever it was doing."""
    for other, pid in connection.rows(_BEFORE, (daemon,)):
        if other != home:
            raise AlreadyRunningError(
                f"{where}: the data of daemon {daemon!r} is being written from {other}: give one "
                "of the two another [daemon] name, or stop that one"
            )
        ended = connection.value("SELECT pg_terminate_backend(%s::int, %s)", (pid, END_TIMEOUT))
        if not ended:
            raise StorageError(
                f"{where}: the session of the last writer (pid {pid} of the server) does not end: "
                "try again, or end it with pg_terminate_backend"
            )
