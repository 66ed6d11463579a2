"""Databases in real files, closed at the end; time that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.faulty_vfs import FaultyDisk

Opener = Callable[..., SqliteDatabase]
ReaderOpener = Callable[[], SqliteReader]


class StillClock:
    """A clock that stands."""

    now_us = 1_700_000_000_000_000

    def monotonic(self) -> float:
        return self.now_us / 1e6

    def time_us(self) -> int:
        return self.now_us


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.db"


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    disk = FaultyDisk("faulty")
    yield disk
    disk.unregister()


@pytest.fixture
def open_database(path: Path) -> Iterator[Opener]:
    opened: list[SqliteDatabase] = []

    def opener(**options: object) -> SqliteDatabase:
        arguments = {
            "daemon": "d",
            "durability": "committed",
            "clock": StillClock(),
            **options,
        }
        opened.append(SqliteDatabase(path, **arguments))  # type: ignore[arg-type]  # tests vary one
        return opened[-1]

    yield opener
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Opener) -> SqliteDatabase:
    return open_database()


@pytest.fixture
def open_reader(path: Path) -> Iterator[ReaderOpener]:
    opened: list[SqliteReader] = []

    def opener() -> SqliteReader:
        opened.append(SqliteReader(path))
        return opened[-1]

    yield opener
    for reader in opened:
        reader.close()


@pytest.fixture
def reader(database: SqliteDatabase, open_reader: ReaderOpener) -> SqliteReader:
    return open_reader()
