"""Losses as data: a tombstone moves the mark and is counted; dead letters are kept once."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest

from holdfast.errors import ExpiredError, GapError, InvalidInputError, StorageError
from holdfast.storage import sqlite_schema
from holdfast.storage.checkpoint_records import StoreCheckpoint
from holdfast.storage.commands import Command
from holdfast.storage.records import (
    Appended,
    AppendEvents,
    DeadLetter,
    DeleteDeadLetter,
    Discarded,
    Dropped,
    Kept,
    Mark,
    SkipEvents,
    StoreDeadLetter,
)
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.conftest import Opener, ReaderOpener, StillClock
from tests.storage.faulty_vfs import FaultyDisk
from tests.storage.making import append, apply_one, event, events, origin

NOW = StillClock.now_us


def letter(number: int = 7, *, kind: str = "tell", body: bytes | None = None) -> DeadLetter:
    if body is None:
        body = msgspec.msgpack.encode(["boom", {"n": number}])
    who = ("critic", "planner", "1.1", "critic", number, kind)
    return DeadLetter(0, *who, "poison: killed by signal 9", 2, NOW, body)


def loss(id: int, first: int, last: int, reason: str) -> Dropped:
    return Dropped(id, NOW, "planner", "1.1", "log", first, last, last - first + 1, reason)


def test_a_tombstone_moves_the_mark_and_leaves_a_row(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    append(database, events(3), origin(1))
    skipped = apply_one(database, SkipEvents(origin(4), 5, "overload:drop"))
    assert skipped == Appended(8, 0, 4, 0, dropped=5)
    assert reader.dropped(10) == [loss(1, 4, 8, "overload:drop")]
    assert append(database, events(1), origin(9)) == Appended(9, 0, 4, 1, dropped=5)
    assert database.mark("planner", "1.1", "log") == Mark(9, 0, 5)
    assert reader.count_dropped() == 5


def test_a_tombstone_sent_again_counts_once(database: SqliteDatabase, reader: SqliteReader) -> None:
    tombstone = SkipEvents(origin(1), 4, "overload:drop")
    first, again = apply_one(database, tombstone), apply_one(database, tombstone)
    assert first == Appended(4, 0, 1, 0, dropped=4)
    assert again == Appended(4, 0, 1, 0, skipped=4, dropped=4)
    assert reader.dropped(10) == [loss(1, 1, 4, "overload:drop")]


def test_what_a_tombstone_covers_twice_is_no_loss(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    """An earlier life of the log had passed three of them on."""
    append(database, events(3), origin(1))
    assert apply_one(database, SkipEvents(origin(1), 5, "x")) == Appended(
        5, 0, 4, 0, skipped=3, dropped=2
    )
    assert reader.dropped(10) == [loss(1, 4, 5, "x")]


def test_a_tombstone_survives_a_restart_and_is_known_to_a_late_frame(
    open_database: Opener,
) -> None:
    database = open_database()
    apply_one(database, SkipEvents(origin(1), 4, "x"))
    database.close()
    database = open_database()
    assert database.mark("planner", "1.1", "log") == Mark(4, 0, 4)
    assert append(database, events(5), origin(1)) == Appended(5, 0, 1, 1, skipped=4, dropped=4)


def test_a_tombstone_covers_only_the_gap_that_it_names(database: SqliteDatabase) -> None:
    append(database, events(1), origin(1))
    with pytest.raises(GapError):
        apply_one(database, SkipEvents(origin(3), 1, "x"))
    with pytest.raises(ExpiredError):
        apply_one(database, SkipEvents(origin(3, sender="other"), 1, "x"))
    with pytest.raises(InvalidInputError, match="tombstone for 0 events"):
        apply_one(database, SkipEvents(origin(2), 0, "x"))
    assert database.mark("planner", "1.1", "log") == Mark(1, 0)


def test_a_gap_costs_its_command_and_no_other(database: SqliteDatabase) -> None:
    append(database, events(1), origin(1))
    group: list[Command] = [
        AppendEvents(origin(2), events(1)),
        AppendEvents(origin(5), events(1)),
        AppendEvents(origin(1, sender="other"), events(1)),
    ]
    outcomes = database.apply(group)
    assert [type(outcome) for outcome in outcomes] == [Appended, GapError, Appended]
    assert database.last_seq == 3


def test_a_refused_event_counts_as_dropped(database: SqliteDatabase, reader: SqliteReader) -> None:
    outcome = append(database, [event(), event(data="{"), event()], origin(1))
    assert (outcome.mark, outcome.stored, outcome.dropped) == (3, 2, 1)
    (row,) = reader.dropped(10)
    assert (row.first, row.last, row.count) == (2, 2, 1)


def test_mark_is_committed_and_duplicates_and_dropped(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    """Scenario D3, as a sum over everything that can become of a number."""
    append(database, [event(key="a"), event(), event(key="a"), event(data="{")], origin(1))
    apply_one(database, SkipEvents(origin(5), 10, "overload:drop"))
    append(database, events(5), origin(15))
    mark = database.mark("planner", "1.1", "log")
    assert (mark.number, mark.duplicates, mark.dropped) == (19, 1, 11)
    assert reader.last_seq() == mark.number - mark.duplicates - mark.dropped
    assert reader.count_dropped() == mark.dropped


@pytest.mark.parametrize("fault", [apsw.FullError, apsw.IOError])
def test_a_loss_that_a_full_disk_does_not_take_is_recorded_later_and_once(
    open_database: Opener, open_reader: ReaderOpener, fault: type[apsw.Error]
) -> None:
    """Scenario D3: the row and the mark appear together or not at all."""
    disk = FaultyDisk("losing")
    try:
        database = open_database(vfs=disk.name)
        append(database, events(2), origin(1))
        group: list[Command] = [
            SkipEvents(origin(3), 7, "overload:drop"),
            AppendEvents(origin(10), events(1)),
        ]
        disk.fault = fault
        assert all(isinstance(outcome, StorageError) for outcome in database.apply(group))
        assert database.mark("planner", "1.1", "log") == Mark(2, 0)
        assert open_reader().count_dropped() == 0
        disk.fault = None
        assert database.apply(group) == [
            Appended(9, 0, 3, 0, dropped=7),
            Appended(10, 0, 3, 1, dropped=7),
        ]
        assert open_reader().dropped(9) == [loss(1, 3, 9, "overload:drop")]
        database.close()
    finally:
        disk.unregister()


# -- dead letters -----------------------------------------------------------------------------


def test_a_dead_letter_is_kept_once_and_found(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    assert apply_one(database, StoreDeadLetter(letter(7))) == Kept(1)
    assert apply_one(database, StoreDeadLetter(letter(8))) == Kept(2)
    assert apply_one(database, StoreDeadLetter(letter(7))) == Kept(1)
    assert apply_one(database, StoreDeadLetter(letter(7, kind="ask"))) == Kept(3)
    assert reader.dead_letter(2) == msgspec.structs.replace(letter(8), id=2)
    assert reader.dead_letter(9) is None
    assert [each.id for each in reader.dead_letters(2, 1_000)] == [3, 2]


def test_a_list_of_letters_stops_where_their_bodies_pass_the_bound(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    for number in range(1, 6):
        apply_one(database, StoreDeadLetter(letter(number, body=b"x" * 100)))
    assert [each.number for each in reader.dead_letters(9, 250)] == [5, 4, 3]
    assert [each.number for each in reader.dead_letters(9, 0)] == [5]
    assert reader.count_dead_letters() == 5


def test_the_id_of_a_discarded_letter_is_never_used_again(
    open_database: Opener, open_reader: ReaderOpener
) -> None:
    database = open_database()
    apply_one(database, StoreDeadLetter(letter(1)))
    assert apply_one(database, DeleteDeadLetter(1)) == Discarded(True)
    assert apply_one(database, DeleteDeadLetter(1)) == Discarded(False)
    database.close()
    database = open_database()
    assert apply_one(database, StoreDeadLetter(letter(2))) == Kept(2)
    assert [each.number for each in open_reader().dead_letters(9, 1_000)] == [2]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (msgspec.msgpack.encode({"a": [1, None, b"x"]}), '{"a":[1,null,{"$bytes":"eA=="}]}'),
        (msgspec.msgpack.encode({1: 2}), None),
        (b"\xc1", None),
        (b"", None),
    ],
    ids=["json", "no text key", "no msgpack", "empty"],
)
def test_the_body_is_kept_as_it_was_and_readable_where_it_can_be(
    database: SqliteDatabase, reader: SqliteReader, path: Path, body: bytes, message: str | None
) -> None:
    apply_one(database, StoreDeadLetter(letter(body=body)))
    found = reader.dead_letter(1)
    assert found is not None
    assert found.body == body
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert viewer.execute("SELECT message FROM dead_letters").get == message
    assert viewer.execute("SELECT bytes FROM dead_letters_readable").get == len(body)
    viewer.close()


def test_a_letter_that_cannot_be_stored_is_refused_alone(database: SqliteDatabase) -> None:
    outcomes = database.apply(
        [
            StoreDeadLetter(msgspec.structs.replace(letter(), deaths=-1)),
            StoreDeadLetter(letter()),
        ]
    )
    assert isinstance(outcomes[0], InvalidInputError)
    assert outcomes[1] == Kept(1)


def test_a_file_of_version_1_becomes_one_of_today_with_all_its_rows(
    path: Path, open_database: Opener, open_reader: ReaderOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario D13."""
    monkeypatch.setattr(sqlite_schema, "VERSION", 1)
    old = apsw.Connection(str(path))
    sqlite_schema.migrate(old, 0)
    old.execute(
        "INSERT INTO senders VALUES ('planner', '1.1', 'log', 4, 1, 0, 1);"
        "INSERT INTO checkpoints VALUES ('planner', 1, 5, '{}')"
    )
    old.close()
    monkeypatch.undo()
    database = open_database()
    assert database.mark("planner", "1.1", "log") == Mark(4, 1, 0)
    assert append(database, events(1), origin(5)).mark == 5
    assert apply_one(database, StoreDeadLetter(letter())) == Kept(1)
    checkpoint = StoreCheckpoint(None, "planner", 6, "{}")
    assert getattr(apply_one(database, checkpoint), "id", None) == 2
