"""A disk that is full or broken: nothing half-stored, nothing falsely acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from holdfast.errors import DiskFullError, StorageError
from holdfast.storage.checkpoint_records import CheckpointStored, StoreCheckpoint
from holdfast.storage.commands import Command
from holdfast.storage.records import Appended, AppendEvents, Mark
from holdfast.storage.session_records import StoreSessions
from holdfast.storage.sqlite_doubt import CHUNK
from holdfast.testing.faults.power.dying import abandon
from holdfast.testing.faults.vfs import io_error
from tests.storage.conftest import Opener, ReaderOpener
from tests.storage.faulty_vfs import FaultyDisk
from tests.storage.making import append, apply_one, events, origin, session

FAULTS = [apsw.FullError, apsw.IOError]


@pytest.fixture
def open_on(disk: FaultyDisk, open_database: Opener) -> Iterator[Opener]:
    yield lambda **options: open_database(vfs=disk.name, **options)
    disk.fault = disk.capacity = disk.sync_fault = None  # before the databases are closed


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_stored_or_acknowledged_while_the_disk_refuses(
    disk: FaultyDisk, open_on: Opener, open_reader: ReaderOpener, fault: type[apsw.Error]
) -> None:
    database = open_on()
    append(database, events(3), origin(1))
    group: list[Command] = [
        AppendEvents(origin(4), events(2)),
        AppendEvents(origin(6), events(2)),
        StoreCheckpoint(origin(1, stream="checkpoints"), "planner", 1, "{}"),
    ]
    disk.fault = fault
    outcomes = database.apply(group)
    assert all(isinstance(outcome, StorageError) for outcome in outcomes)
    assert database.last_seq == open_reader().last_seq() == 3
    assert database.mark("planner", "1.1", "log") == Mark(3, 0)

    disk.fault = None
    assert database.apply(group) == [
        Appended(5, 0, 4, 2),
        Appended(7, 0, 6, 2),
        CheckpointStored(1),
    ]
    assert [row[0] for row in open_reader().newest(10)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("room", range(0, 40, 3))
def test_a_fault_in_the_middle_of_a_group_never_leaves_a_hole(
    disk: FaultyDisk, open_on: Opener, open_reader: ReaderOpener, room: int
) -> None:
    """Wherever the disk becomes full, what is answered is stored and what is not is not."""
    database = open_on()
    group: list[Command] = [
        AppendEvents(origin(1 + n * 30), events(30, first=n * 30)) for n in range(5)
    ]
    disk.fault, disk.room = apsw.FullError, room
    outcomes = database.apply(group)
    stored = sum(outcome.stored for outcome in outcomes if isinstance(outcome, Appended))
    failed = [isinstance(outcome, StorageError) for outcome in outcomes]
    assert failed == sorted(failed), "stored after a frame of its sender that was not"
    assert database.last_seq == open_reader().last_seq() == stored
    assert database.mark("planner", "1.1", "log").number == stored

    disk.fault = None
    database.apply(group)
    times = [row[2] - 1_000_000 for row in open_reader().newest(1000)]
    assert times == list(range(150))


def test_what_fits_on_a_nearly_full_disk_is_stored_and_only_that(
    disk: FaultyDisk, open_on: Opener, open_reader: ReaderOpener
) -> None:
    database = open_on()
    disk.capacity = 3 * 2**20  # an empty database has 1.6 MiB
    group = [
        AppendEvents(origin(1, sender="small"), events(1)),
        AppendEvents(origin(1, sender="large"), events(50_000)),
        AppendEvents(origin(1, sender="late"), events(1)),
    ]
    outcomes = database.apply(group)
    assert [type(outcome) for outcome in outcomes] == [Appended, DiskFullError, Appended]
    assert database.last_seq == open_reader().last_seq() == 2
    disk.capacity = None
    assert append(database, events(50_000), origin(1, sender="large")).first_seq == 3


@pytest.mark.parametrize(
    ("fault", "said"), [(apsw.FullError, "disk is full"), (apsw.IOError, "disk reports an error")]
)
def test_the_error_says_what_to_do(
    disk: FaultyDisk, open_on: Opener, fault: type[apsw.Error], said: str
) -> None:
    database = open_on()
    disk.fault = fault
    (outcome,) = database.apply([AppendEvents(None, events(1))])
    assert said in str(outcome)
    assert "holdfast.db" in str(outcome)


def test_committed_is_not_synced_until_the_barrier(disk: FaultyDisk, open_on: Opener) -> None:
    database = open_on()
    append(database, events(1))
    database.sync()
    disk.syncs.clear()
    append(database, events(1))
    assert disk.syncs == []
    database.sync()
    assert disk.syncs == ["wal"]
    database.sync()
    assert disk.syncs == ["wal"], "nothing was committed in between"


def test_the_barrier_syncs_what_came_without_an_event(disk: FaultyDisk, open_on: Opener) -> None:
    """A row that is updated to what it is dirties no page: such a barrier would sync nothing."""
    database = open_on()
    append(database, events(1))
    database.sync()
    for version in (1, 2):
        disk.syncs.clear()
        apply_one(database, StoreSessions(None, [session(f"s{version}")], [], []))
        database.sync()
        assert disk.syncs == ["wal"]


def test_at_disk_every_commit_is_synced(disk: FaultyDisk, open_on: Opener) -> None:
    database = open_on(durability="disk")
    append(database, events(1))
    disk.syncs.clear()
    append(database, events(1))
    assert disk.syncs == ["wal"]
    database.sync()
    assert disk.syncs == ["wal"]


def test_a_failed_barrier_is_an_error(disk: FaultyDisk, open_on: Opener) -> None:
    database = open_on()
    append(database, events(1))
    disk.fault = apsw.IOError
    with pytest.raises(StorageError):
        database.sync()
    disk.fault = None
    assert append(database, events(1)).first_seq == 2


def test_after_a_failed_fsync_the_next_open_writes_the_log_again_before_it_trusts_it(
    path: Path, disk: FaultyDisk, open_on: Opener
) -> None:
    """Linux tells of it once, and calls the pages clean: the next fsync would prove nothing."""
    database = open_on()
    append(database, events(3))
    disk.sync_fault = io_error("sync")
    with pytest.raises(StorageError):
        database.sync()
    abandon(database)
    with pytest.raises(StorageError):  # as long as it fails, so does the open
        open_on()
    disk.sync_fault = None
    disk.syncs.clear()
    disk.writes.clear()
    log, doubt = (path.with_name(path.name + suffix) for suffix in ("-wal", ".doubt"))
    assert doubt.exists()
    size = log.stat().st_size
    assert open_on().last_seq == 3
    assert disk.syncs == ["wal"]
    assert disk.writes[-(-size // CHUNK) - 1] == size
    assert not doubt.exists()


def test_a_barrier_that_finds_no_room_is_tried_again(disk: FaultyDisk, open_on: Opener) -> None:
    database = open_on()
    append(database, events(1))
    disk.fault = apsw.FullError
    with pytest.raises(DiskFullError):
        database.sync()
    disk.fault = None
    disk.syncs.clear()
    database.sync()
    assert disk.syncs == ["wal"]
