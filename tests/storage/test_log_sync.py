"""A barrier in two parts: the commit, and a sync of the log beside the connection."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from holdfast.errors import StorageError
from holdfast.storage import log_sync
from holdfast.storage.log_sync import LogSync
from holdfast.storage.sqlite import SqliteDatabase
from tests.storage.conftest import Opener
from tests.storage.making import append, events


def unsynced(database: SqliteDatabase) -> LogSync | None:
    append(database, events(1))
    return database.begin_sync()


def test_the_first_barrier_of_a_life_is_the_connections_own(open_database: Opener) -> None:
    database = open_database()
    assert unsynced(database) is None
    assert unsynced(database) is not None


def test_without_a_commit_there_is_nothing_to_wait_for(open_database: Opener) -> None:
    database = open_database()
    unsynced(database)
    wait = unsynced(database)
    assert wait is not None
    wait()
    assert database.begin_sync() is None


def test_a_sync_that_fails_is_named_and_the_next_opening_knows(
    path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int, _name: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setitem(log_sync.FILE_SYNCS, "unix", broken)
    database = open_database()
    unsynced(database)
    wait = unsynced(database)
    assert wait is not None
    with pytest.raises(StorageError, match="the disk reports an error"):
        wait()
    assert Path(f"{path}.doubt").exists()
