"""The same promises of every backend: databases in files, and in a server of this process."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.storage.migrating.ports import Place
from holdfast.storage.ports import Database, Reader
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.clock import ManualClock
from tests.conformance.moving import Opens, opened
from tests.conformance.servers import PostgresqlServer, shared_postgresql, stop_shared

BACKENDS: Final = ("sqlite", "postgresql")


class StillClock:
    """A clock that stands, until the test moves it."""

    def __init__(self) -> None:
        self.now_us = 1_700_000_000_000_000

    def monotonic(self) -> float:
        return self.now_us / 1e6

    def time_us(self) -> int:
        return self.now_us


class Backend:
    """One database of a kind; opened as often as a test likes, all closed at the end."""

    def __init__(self, name: str, where: str, daemon: str = "d") -> None:
        self.name = name
        self.where = where  # path or DSN
        self.daemon = daemon
        self.clock = StillClock()
        self._opened: list[Database | Reader] = []

    def database(self, **options: Any) -> Database:
        """The writing side."""
        common = {"daemon": self.daemon, "durability": "committed", "clock": self.clock, **options}
        self._opened.append(self._writing(common))
        return self._opened[-1]  # type: ignore[return-value]  # just put there

    def reader(self, **options: Any) -> Reader:
        """A reading side; the database was opened once."""
        self._opened.append(self._reading(options))
        return self._opened[-1]  # type: ignore[return-value]  # just put there

    def _writing(self, options: dict[str, Any]) -> Database:
        if self.name == "sqlite":
            return SqliteDatabase(self.where, **options)
        from holdfast.storage.postgresql.database import PostgresqlDatabase

        return PostgresqlDatabase(self.where, **{"home": "here", **options})

    def _reading(self, options: dict[str, Any]) -> Reader:
        if self.name == "sqlite":
            return SqliteReader(self.where, **options)
        from holdfast.storage.postgresql.reader import PostgresqlReader

        return PostgresqlReader(self.where, daemon=self.daemon, **options)

    def close(self) -> None:
        """All that was opened."""
        for each in self._opened:
            each.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before anything looks at which processes there are."""
    names = getattr(item, "fixturenames", ())
    if "postgresql" in item.name or "postgresql_server" in names:
        shared_postgresql()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """The server of this process."""
    yield shared_postgresql()
    stop_shared()


@pytest.fixture(scope="session")
def postgresql_dsn(postgresql_server: PostgresqlServer) -> str:
    """A database for all tests of this process: each is a daemon of its own in it."""
    return postgresql_server.new_database()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each kind in turn, empty."""
    if request.param == "sqlite":
        made = Backend("sqlite", str(tmp_path / "holdfast.db"))
    else:
        dsn = request.getfixturevalue("postgresql_dsn")
        made = Backend("postgresql", dsn, daemon=f"d{secrets.token_hex(4)}")
    yield made
    made.close()


@pytest.fixture
def opens() -> Iterator[Opens]:
    """What opens writers, which are closed in the end."""
    made: list[Database] = []

    def one(place: Place) -> Database:
        made.append(opened(place, ManualClock()))
        return made[-1]

    yield one
    for database in made:
        database.close()


@pytest.fixture
def clock(backend: Backend) -> StillClock:
    """Its time."""
    return backend.clock


@pytest.fixture
def database(backend: Backend) -> Database:
    """Opened."""
    return backend.database()


@pytest.fixture
def reader(backend: Backend, database: Database) -> Reader:
    """Of that database."""
    return backend.reader()
