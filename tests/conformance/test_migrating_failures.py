"""The target fails, or will not have a row (scenario B3, the part of the storage): nothing is lost.

And what PostgreSQL's tables share with other daemons stays theirs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from holdfast.errors import FencedError, StorageError, SwapError, UnreachableError
from holdfast.storage.migrating import migration as module
from holdfast.storage.migrating import old
from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import Place
from holdfast.storage.state_records import ChangeState, CreateEntity, DeleteEntity
from tests.clock import ManualClock
from tests.conformance.moving import (
    SWAP,
    Opens,
    contents,
    migration,
    moved,
    postgresql_place,
    sqlite_place,
)
from tests.storage.making import append, event, events

Moves = Callable[[Place, Place], Migration]


@pytest.fixture
def moves() -> Iterator[Moves]:
    """What prepares migrations, which are abandoned in the end."""
    made: list[Migration] = []

    def one(source: Place, target: Place) -> Migration:
        made.append(migration(source, target))
        made[-1].prepare()
        return made[-1]

    yield one
    for each in made:
        each.abandon()


@pytest.fixture
def source(tmp_path: Path) -> Place:
    return sqlite_place(tmp_path, f"d{secrets.token_hex(4)}")


@pytest.fixture
def target(postgresql_dsn: str, source: Place) -> Place:
    return postgresql_place(postgresql_dsn, source.daemon)


def test_a_server_that_is_not_there_touches_nothing(
    opens: Opens, moves: Moves, source: Place, tmp_path: Path
) -> None:
    writer = opens(source)
    append(writer, events(3))
    writer.begin_capture(SWAP)
    nowhere = postgresql_place(f"host={tmp_path} user=me password=secret dbname=d", source.daemon)
    moving = migration(source, nowhere)
    with pytest.raises(UnreachableError) as caught:
        moving.prepare()
    moving.abandon()
    assert "secret" not in str(caught.value)
    append(writer, events(1, first=3))


@pytest.mark.parametrize(
    "share",
    [
        pytest.param(0.1, marks=pytest.mark.slow),
        0.5,
        pytest.param(0.99, marks=pytest.mark.slow),
    ],
)
def test_a_server_that_ends_the_session_in_the_middle_is_told_and_a_second_try_succeeds(
    opens: Opens,
    moves: Moves,
    source: Place,
    target: Place,
    share: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RANGE", 5)
    writer = opens(source)
    append(writer, events(100))
    writer.begin_capture(SWAP)
    moving = moves(source, target)
    while moving.copy(0.0).rows < 100 * share:
        pass
    with psycopg.connect(target.dsn, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = %s",
            (f"holdfast {source.daemon} writing",),
        )
    with pytest.raises(UnreachableError):
        _copy(moving)
    moving.abandon()
    append(writer, events(5, first=101))  # it never noticed
    with pytest.raises(StorageError, match="half filled"):
        opens(target)
    moved(writer, source, target, swap="swap-2")


def test_a_row_that_the_target_cannot_hold_is_named_and_the_source_goes_on(
    opens: Opens, moves: Moves, source: Place, target: Place
) -> None:
    writer = opens(source)
    long, secret = "n" * 250, "x" * 200
    for n in range(40):
        properties = f'{{"{long}": "{secret}{n}"}}' if n == 17 else '{"n": 1}'
        type = "t" * 250 if n == 17 else "t"
        writer.apply([ChangeState(None, [CreateEntity(f"e{n}", type, properties)])])
    big = secrets.token_hex(4_000)  # nothing that an index could compress
    append(writer, [event(key="k"), event(session=big)])
    writer.begin_capture(SWAP)
    moving = moves(source, target)
    with pytest.raises(SwapError, match=r"events: the target cannot hold row \(42\)") as found:
        _copy(moving)
    moving.abandon()
    assert (found.value.table, found.value.key) == ("events", (42,))
    assert big[:9] not in str(found.value)
    writer.apply([ChangeState(None, [DeleteEntity("e3")])])


def test_an_event_of_another_name_is_no_event_of_this_daemon(
    opens: Opens, moves: Moves, source: Place, target: Place
) -> None:
    renamed = Place(backend="sqlite", path=source.path, daemon="before")
    before = opens(renamed)
    append(before, events(2))
    before.close()
    writer = opens(source)
    append(writer, events(1, first=2))
    writer.begin_capture(SWAP)
    moving = moves(source, target)
    with pytest.raises(SwapError, match="it is of daemon 'before'"):
        _copy(moving)
    moving.abandon()


def test_what_other_daemons_write_is_not_in_the_log_and_nothing_of_it_stays(
    opens: Opens, target: Place
) -> None:
    neighbour = postgresql_place(target.dsn, f"n{secrets.token_hex(4)}")
    writer, other = opens(target), opens(neighbour)
    before = _objects(target.dsn)
    others = _logs(target.dsn)  # of tests before this one, on the same server
    writer.begin_capture(SWAP)
    created = ChangeState(None, [CreateEntity("e", "t", "{}")])
    other.apply([created])
    assert _logged(target.dsn, others) == []
    writer.apply([created])
    assert sorted(_logged(target.dsn, others)) == [("entities", "[1]"), ("entity_types", '["t"]')]
    writer.begin_capture(SWAP)  # again does nothing
    assert len(_logged(target.dsn, others)) == 2
    writer.end_capture()
    writer.end_capture()
    assert _objects(target.dsn) == before


def test_an_old_writer_is_fenced_when_its_data_was_moved(
    opens: Opens, moves: Moves, source: Place, target: Place
) -> None:
    zombie = opens(target)
    append(zombie, events(3))
    zombie.begin_capture(SWAP)
    moving = moves(target, source)
    _copy(moving)
    moving.finish()  # it stands still, between two transactions
    moving.commit()
    with pytest.raises(FencedError):
        append(zombie, events(1, first=3))
    assert opens(source).last_seq == 3
    assert len(contents(target)["events"]) == 3


def test_data_that_is_there_already_is_left_alone_and_only_old_data_is_forgotten(
    opens: Opens, source: Place, target: Place
) -> None:
    first = opens(target)
    append(first, events(3))
    first.close()
    writer = opens(source)
    writer.begin_capture(SWAP)
    with pytest.raises(SwapError, match="holdfast swap forget"):
        migration(source, target).prepare()
    assert old.old_data(target) == []
    assert old.forget(target, 1.0)  # there is nothing that may be
    assert len(contents(target)["events"]) == 3
    writer.close()
    old.retire(target, swap="swap-0", other="elsewhere", clock=ManualClock())
    with pytest.raises(SwapError, match="holdfast swap forget"):
        migration(source, target).prepare()
    neighbour = postgresql_place(target.dsn, f"n{secrets.token_hex(4)}")
    append(opens(neighbour), events(2))
    while not old.forget(target, 1.0):
        pass
    assert not contents(target)["events"]
    assert len(contents(neighbour)["events"]) == 2
    moved(opens(source), source, target)


def test_what_another_home_has_just_moved_there_is_left_alone_and_ours_is_forgotten(
    opens: Opens, moves: Moves, source: Place, target: Place, tmp_path: Path
) -> None:
    """It is complete and has no writer yet: whether it is committed, its own home knows."""
    first = opens(source)
    append(first, events(3))
    first.begin_capture(SWAP)
    moving = moves(source, target)
    _copy(moving)
    first.close()
    moving.finish()
    moving.abandon()
    stranger = sqlite_place(tmp_path, source.daemon)
    opens(stranger).begin_capture(SWAP)
    elsewhere = Place(backend="postgresql", dsn=target.dsn, daemon=target.daemon, home="there")
    with pytest.raises(SwapError, match="holds data of daemon"):
        moves(stranger, elsewhere)
    assert len(contents(target)["events"]) == 3
    assert old.old_data(target) == []
    (left,) = old.old_data(target, [SWAP])  # which has failed
    assert "complete" in left
    while not old.forget(target, 1.0, [SWAP]):
        pass
    assert not contents(target)["events"]


def _copy(moving: Migration) -> None:
    while not moving.copy(1.0).is_done:
        pass


def _logs(dsn: str) -> set[str]:
    """The tables of all logs."""
    sql = "SELECT tablename FROM pg_tables WHERE tablename LIKE 'swap_log%'"
    with psycopg.connect(dsn) as connection:
        return {str(table) for (table,) in connection.execute(sql)}


def _logged(dsn: str, others: set[str]) -> list[tuple[str, str]]:
    """What is in the logs that are not among ``others``."""
    found = []
    with psycopg.connect(dsn) as connection:
        for table in _logs(dsn) - others:
            found += connection.execute(f"SELECT tab, key FROM holdfast.{table}").fetchall()
    return [(str(table), str(key)) for table, key in found]


def _objects(dsn: str) -> set[tuple[str, str]]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT 'relation', relname::text FROM pg_class"
            " WHERE relnamespace = 'holdfast'::regnamespace"
            " UNION ALL SELECT 'function', proname::text FROM pg_proc"
            " WHERE pronamespace = 'holdfast'::regnamespace"
            " UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE NOT tgisinternal"
        ).fetchall()
    return {(str(kind), str(name)) for kind, name in rows}
