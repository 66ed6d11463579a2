"""Migrations from file to file: what is refused, and what is left when one is given up."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from holdfast.errors import AlreadyRunningError, DiskFullError, SchemaError, StorageError, SwapError
from holdfast.storage import sqlite_schema
from holdfast.storage.migrating import old
from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import Place
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.sqlite_schema import VERSION
from holdfast.storage.timelines import is_lost
from tests.clock import ManualClock
from tests.conformance.moving import SWAP, contents, migration, moved, sqlite_place
from tests.storage.making import append, event, events, origin
from tests.storage.migrating.copying import Opens, copied


def test_without_a_log_nothing_is_copied(
    writer: SqliteDatabase, moving: Migration, target: Place
) -> None:
    with pytest.raises(SwapError, match="keeps no log for swap"):
        moving.prepare()
    writer.begin_capture("another")
    with pytest.raises(SwapError, match="keeps no log for swap"):
        moving.prepare()
    assert not os.path.exists(target.path)


def test_what_nobody_knows_is_refused_before_anything(
    writer: SqliteDatabase, moving: Migration, target: Place
) -> None:
    writer.begin_capture(SWAP)
    connection = apsw.Connection(writer.path)
    connection.execute("INSERT INTO meta VALUES ('a_new_fact', 1)")
    connection.close()
    with pytest.raises(SwapError, match="row 'a_new_fact'"):
        moving.prepare()
    assert not os.path.exists(target.path)


def test_what_a_repair_could_not_save_is_known_at_the_target(
    writer: SqliteDatabase, source: Place, target: Place
) -> None:
    facts = [("forks", "[[3,1,5]]"), ("lost_events", 2), ("lost_payloads", 1), ("restored_turn", 4)]
    connection = apsw.Connection(writer.path)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", facts)
    connection.close()
    moved(writer, source, target)
    connection = apsw.Connection(target.path, flags=apsw.SQLITE_OPEN_READONLY)
    rows = {name: value for name, value in connection.execute("SELECT name, value FROM meta")}
    connection.close()
    assert rows.items() >= dict(facts).items()


def test_the_log_goes_on_when_the_writer_is_started_again(
    writer: SqliteDatabase, moving: Migration, source: Place, opens: Opens
) -> None:
    writer.begin_capture(SWAP)
    copied(moving)
    writer.close()
    again = opens(source)
    again.begin_capture(SWAP)  # nothing new
    append(again, [event(11, key="k")], origin(1))
    again.forget("planner", "1.1")
    again.close()
    moving.finish()
    moving.commit()
    assert moving.verify_old().last_seq == 11


def test_the_end_of_the_log_leaves_the_tables_as_they_were(writer: SqliteDatabase) -> None:
    sql = "SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2"
    connection = apsw.Connection(writer.path)
    before = connection.execute(sql).fetchall()
    writer.begin_capture(SWAP)
    assert connection.execute(sql).fetchall() != before
    writer.begin_capture("another")
    writer.end_capture()
    writer.end_capture()
    assert connection.execute(sql).fetchall() == before
    connection.close()


def test_nobody_finishes_while_there_is_a_writer(
    writer: SqliteDatabase,
    moving: Migration,
    source: Place,
    opens: Opens,
) -> None:
    writer.begin_capture(SWAP)
    copied(moving)
    with pytest.raises(AlreadyRunningError):
        moving.finish()
    append(writer, events(1, first=10))  # and it goes on
    moving.abandon()
    writer.close()
    with_lock = copied_again(source, moving)
    with_lock.finish()
    with pytest.raises(AlreadyRunningError):  # until the commit point is written, or not
        opens(source)
    with_lock.abandon()
    opens(source).close()


def copied_again(source: Place, before: Migration) -> Migration:
    target = sqlite_place(Path(source.path).parent)
    return copied(migration(source, target))


def test_a_half_filled_target_says_so_and_is_filled_anew(
    writer: SqliteDatabase,
    moving: Migration,
    source: Place,
    target: Place,
    opens: Opens,
) -> None:
    writer.begin_capture(SWAP)
    copied(moving)
    moving.abandon()
    with pytest.raises(StorageError, match=f"half filled: swap {SWAP} was moving data from"):
        opens(target)
    proof = moved(writer, source, target, swap="swap-2")
    assert proof.last_seq == 10
    assert opens(target).last_seq == 10


def test_a_target_that_was_complete_and_never_used_is_filled_anew(
    writer: SqliteDatabase,
    moving: Migration,
    source: Place,
    target: Place,
    opens: Opens,
) -> None:
    writer.begin_capture(SWAP)
    copied(moving)
    writer.close()
    moving.finish()
    moving.abandon()  # the commit point was not written
    again = opens(source)
    append(again, events(1, first=10))
    assert moved(again, source, target, swap="swap-2").last_seq == 11


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_database_that_is_there_already_is_left_alone(
    writer: SqliteDatabase,
    moving: Migration,
    target: Place,
    opens: Opens,
    is_ours: bool,
) -> None:
    writer.begin_capture(SWAP)
    if is_ours:
        opens(target).close()
    else:
        connection = apsw.Connection(target.path)
        connection.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        connection.close()
    before = Path(target.path).read_bytes()
    with pytest.raises(SwapError if is_ours else SchemaError):
        moving.prepare()
    assert Path(target.path).read_bytes() == before


@pytest.mark.parametrize("step", [1, 4, VERSION - 1])
def test_a_target_whose_making_was_cut_off_is_made_anew(
    writer: SqliteDatabase, source: Place, target: Place, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Killed, or out of room, between two steps of its schema."""
    writer.begin_capture(SWAP)
    whole = sqlite_schema._take_step

    def full(connection: apsw.Connection, number: int) -> None:
        if number == step:
            raise apsw.FullError("database or disk is full")
        whole(connection, number)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_schema, "_take_step", full)
        with pytest.raises(DiskFullError):
            migration(source, target).prepare()
    connection = apsw.Connection(target.path)
    assert connection.pragma("user_version") == step
    connection.close()
    assert moved(writer, source, target).last_seq == 10


def test_a_target_that_somebody_used_is_no_leftover(
    writer: SqliteDatabase, source: Place, target: Place, opens: Opens
) -> None:
    moved(writer, source, target)
    opens(target).close()
    anew = opens(source)
    anew.begin_capture(SWAP)
    with pytest.raises(SwapError, match="no swap has left half filled"):
        migration(source, target).prepare()
    anew.close()


def test_a_database_is_not_moved_to_itself(source: Place, writer: SqliteDatabase) -> None:
    writer.begin_capture(SWAP)
    with pytest.raises(SwapError, match="used already"):
        migration(source, source).prepare()


def test_the_old_data_is_kept_beside_until_somebody_forgets_it(
    writer: SqliteDatabase, moving: Migration, source: Place, clock: ManualClock
) -> None:
    writer.begin_capture(SWAP)
    copied(moving)
    writer.close()
    moving.finish()
    where = moving.commit()
    assert old.old_data(source) == [where]
    assert not os.path.exists(source.path)
    reader = SqliteReader(where)
    assert reader.position().last_seq == 10
    reader.close()
    assert old.retire(source, swap=SWAP, other="there", clock=clock) == where  # done already
    assert old.forget(source, 1.0)
    assert old.old_data(source) == []
    assert (
        sorted(path.name for path in Path(where).parent.iterdir() if "swapped" in path.name) == []
    )


def test_whoever_comes_after_a_commit_that_was_cut_off_moves_the_old_data_aside(
    writer: SqliteDatabase, source: Place, clock: ManualClock, opens: Opens
) -> None:
    writer.close()
    where = old.retire(source, swap=SWAP, other="there", clock=clock)
    assert old.old_data(source) == [where]
    assert opens(source).last_seq == 0  # a new one, and nobody thinks it is damaged


def test_a_writer_that_is_still_there_keeps_its_files(
    writer: SqliteDatabase, source: Place, clock: ManualClock
) -> None:
    with pytest.raises(AlreadyRunningError):
        old.retire(source, swap=SWAP, other="there", clock=clock)
    append(writer, events(1, first=10))


def test_positions_stay_good_and_epochs_go_on(
    writer: SqliteDatabase, source: Place, target: Place, opens: Opens
) -> None:
    writer.close()
    for _ in range(3):
        opens(source).close()
    again = opens(source)
    before = again.position()
    moved(again, source, target)
    after = opens(target).position()
    assert after.epoch > before.epoch
    assert after.last_seq == before.last_seq
    assert not is_lost(after.forks, before.epoch, before.last_seq, current=after.epoch)


def test_begun_empty_the_target_lets_everybody_go_on(
    writer: SqliteDatabase, source: Place, target: Place, opens: Opens
) -> None:
    append(writer, [event(11)], origin(1))
    before = writer.position()
    moving = migration(source, target, mode="empty")
    copied(moving)
    assert moving.follow(1.0).is_done
    writer.close()
    assert moving.finish().last_seq == 0
    moving.commit()
    fresh = opens(target)
    now = SqliteReader(target.path).position()
    assert is_lost(now.forks, before.epoch, before.last_seq, current=now.epoch)
    assert append(fresh, [event(12)], origin(2)).stored == 1  # its first number was elsewhere
    reader = SqliteReader(target.path)
    assert [row.reason for row in reader.dropped(10)] == ["restored"]
    reader.close()


def test_require_empty_refuses_what_somebody_would_miss(
    writer: SqliteDatabase,
    source: Place,
    target: Place,
    opens: Opens,
    tmp_path: Path,
) -> None:
    with pytest.raises(SwapError, match="table events is not empty"):
        migration(source, target, mode="require-empty").prepare()
    nothing = sqlite_place(tmp_path, name="nothing.db")
    quiet = opens(nothing)
    append(quiet, [event(source="supervisor/root", type="supervisor:progress")], origin(1))
    quiet.close()
    late = copied(migration(nothing, target, mode="require-empty"))
    again = opens(nothing)
    append(again, [event(source="a")], origin(2))  # acknowledged while it was prepared
    again.close()
    with pytest.raises(SwapError, match="table events is not empty"):
        late.finish()
    late.abandon()
    os.unlink(nothing.path)
    opens(nothing).close()
    moving = migration(nothing, target, mode="require-empty")
    copied(moving).finish()
    moving.commit()


def test_a_place_shows_no_password() -> None:
    place = Place(backend="postgresql", dsn="postgresql://me:secret@host/base", daemon="d")
    assert "secret" not in f"{place!r} {place.where}"


def test_both_sides_are_the_same_when_read_by_others(
    writer: SqliteDatabase, source: Place, target: Place
) -> None:
    moved(writer, source, target)
    assert len(contents(target)["events"]) == 10
