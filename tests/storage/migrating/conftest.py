"""Two files, and a migration from one to the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import Place
from holdfast.storage.ports import Database
from holdfast.storage.sqlite import SqliteDatabase
from tests.clock import ManualClock
from tests.conformance.moving import migration, opened, sqlite_place
from tests.storage.making import append, events
from tests.storage.migrating.copying import Opens


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(tmp_path: Path) -> Place:
    return sqlite_place(tmp_path, name="source.db")


@pytest.fixture
def target(tmp_path: Path) -> Place:
    return sqlite_place(tmp_path, name="target.db")


@pytest.fixture
def writer(source: Place, clock: ManualClock) -> Iterator[SqliteDatabase]:
    """With a few events."""
    database = opened(source, clock)
    assert isinstance(database, SqliteDatabase)
    append(database, events(10))
    yield database
    database.close()


@pytest.fixture
def opens(clock: ManualClock) -> Iterator[Opens]:
    """What opens writers, which are closed in the end."""
    made: list[Database] = []

    def one(place: Place) -> Database:
        made.append(opened(place, clock))
        return made[-1]

    yield one
    for database in made:
        database.close()


@pytest.fixture
def moving(source: Place, target: Place) -> Iterator[Migration]:
    """Not prepared yet."""
    made = migration(source, target)
    yield made
    made.abandon()
