"""Sessions and checkpoints of the daemon in a damaged database: what is left of them is usable."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from holdfast.actors.daemon_checkpoint import Manifest, laid_out, newest_part, opened
from holdfast.actors.messages.checkpoints import Participant
from holdfast.errors import StorageError
from holdfast.storage import parts as parting
from holdfast.storage.checkpoint_records import DAEMON, StoreCheckpoint
from holdfast.storage.repairing import Repaired, repair_database
from holdfast.storage.session_records import SessionItem, StoreSessions
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.verifying import verify_database
from tests.storage.conftest import StillClock
from tests.storage.damaging import pages_of, rows_of, wipe
from tests.storage.making import append, apply_one, event, origin, session

SESSIONS = 200
ITEMS = 6  # of each of them
CHECKPOINTS = 40
LATER_US = 10**15  # none of them is over


def fill(database: SqliteDatabase) -> None:
    append(database, [event(n) for n in range(1, 11)], origin(1))
    changed = msgspec.structs.replace
    size = len(item_data(1)) * ITEMS
    put = [
        changed(
            session(f"s{n:04}", touched_us=n, expires_us=LATER_US),
            data=f'{{"n": {n}, "text": "{"x" * 100}"}}',
            owner=f"o{n % 7}",
            items=ITEMS,
            item_bytes=size,
        )
        for n in range(SESSIONS)
    ]
    items = [
        SessionItem(number, 5, f"k{number}", item_data(number), one.id, one.created_us)
        for one in put
        for number in range(1, ITEMS + 1)
    ]
    apply_one(database, StoreSessions(None, put, [], [], items=items))
    for n in range(1, CHECKPOINTS + 1):
        store_daemons(database, n)


def item_data(number: int) -> str:
    return f'{{"item": {number}, "text": "{"y" * 100}"}}'


def store_daemons(database: SqliteDatabase, n: int) -> None:
    """Its part of ``tracker`` is small, that of ``planner`` large enough to be cut."""
    texts = {"tracker": f'{{"n": {n}}}', "planner": msgspec.json.encode(turns(n)).decode()}
    participants = [Participant(name, mark=10, bytes=len(text)) for name, text in texts.items()]
    layout = laid_out(Manifest(1, "asked", n, participants), texts)
    parts = parting.pack(layout.parts)
    apply_one(
        database,
        StoreCheckpoint(None, DAEMON, n, layout.state, layout.pieces, parts, layout.size),
    )


def turns(n: int) -> list[str]:
    """Of text that hardly gets smaller."""
    return [f"{turn} {random.Random(turn).randbytes(1_500).hex()}" for turn in range(n)]


def start(path: Path) -> SqliteDatabase:
    return SqliteDatabase(path, daemon="d", durability="committed", clock=StillClock())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "holdfast.db"
    database = start(path)
    fill(database)
    database.close()
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "holdfast.db"))


def leaves(path: Path, name: str) -> list[int]:
    return [page for page, kind in pages_of(path, name) if kind == "leaf"]


def change(path: Path, sql: str, *values: apsw.SQLiteValue) -> None:
    """As nothing of holdfast would: what the schema checks is not checked."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("ignore_check_constraints", 1)
        connection.execute(sql, values)


def repaired(path: Path) -> Repaired:
    done = repair_database(str(path), lambda _: None)
    assert done.findings == []
    return done


@contextmanager
def reading(path: Path) -> Iterator[SqliteReader]:
    """After a start, which may be the first to stumble."""
    start(path).close()
    with closing(SqliteReader(path)) as reader:
        yield reader


def check_sessions(path: Path, expected: Callable[[str], bool] = lambda _id: True) -> int:
    """Each that is left is as it was, with all that is left of its items; how many are left."""
    with reading(path) as reader:
        totals, size = reader.session_totals(), 0
        found = reader.sessions(SESSIONS + 1)
        for one in found:
            assert one.data.startswith(f'{{"n": {int(one.id[1:])},')
            items = reader.session_items(one.id, 0, 100)
            assert [item.data for item in items] == [item_data(item.number) for item in items]
            assert one.items == ITEMS
            assert one.item_bytes == sum(len(item.data) for item in items)
            size += len(one.data) + one.item_bytes
        assert (totals.count, totals.bytes) == (len(found), size)
        return len(found)


@pytest.mark.parametrize("which", [0, -1])
def test_a_leaf_of_sessions_costs_those_and_their_items(path: Path, which: int) -> None:
    wipe(path, leaves(path, "sessions")[which])
    done = repaired(path)
    lost = done.tables["sessions"].lost
    assert lost
    assert check_sessions(path) == SESSIONS - lost == done.tables["sessions"].saved
    assert done.tables["session_items"].saved == ITEMS * (SESSIONS - lost)
    assert done.tables["session_items"].removed == ITEMS * lost


def test_a_leaf_of_items_costs_those_and_no_session(path: Path) -> None:
    """What they took counts no longer, and their numbers are not given again."""
    wipe(path, leaves(path, "session_items")[2])
    done = repaired(path)
    assert check_sessions(path) == SESSIONS
    saved = done.tables["session_items"].saved
    assert ITEMS * SESSIONS * 0.9 < saved < ITEMS * SESSIONS


@pytest.mark.parametrize("name", ["sessions", "session_items"])
def test_all_that_hangs_below_a_root_is_found(path: Path, name: str) -> None:
    """The root of the items, whose table has no rowids, has some of them itself."""
    pages = dict(pages_of(path, name))
    wipe(path, next(page for page, kind in pages.items() if kind == "internal"))
    done = repaired(path)
    assert check_sessions(path) == SESSIONS
    lost = ITEMS * SESSIONS - done.tables["session_items"].saved
    assert lost == (0 if name == "sessions" else len(pages) - 2)


def test_a_lost_index_of_sessions_costs_none(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        names = [
            str(name)
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'sessions'"
            )
        ]
    assert names
    for name in names:
        for page, _ in list(pages_of(path, name)):
            wipe(path, page)
    repaired(path)
    assert check_sessions(path) == SESSIONS
    with reading(path) as reader:
        owned = reader.list_sessions(0, "", "", "o3", SESSIONS)
        assert len(owned) == len([n for n in range(SESSIONS) if n % 7 == 3])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("data", '{"n": 7, "text": '),
        ("holders", "{nobody"),
        ("id", ""),
    ],
)
def test_a_row_that_is_no_session_any_more_is_left_out_and_counted(
    path: Path, column: str, value: str
) -> None:
    change(path, f"UPDATE sessions SET {column} = ? WHERE id = 's0007'", value)
    done = repaired(path)
    assert done.tables["sessions"].refused == 1
    assert done.tables["session_items"].removed == ITEMS
    assert check_sessions(path) == SESSIONS - 1


@pytest.mark.parametrize("holders", ["[]", '{"planner": "soon"}'])
def test_a_session_that_is_held_by_nobody_there_is_gets_free(path: Path, holders: str) -> None:
    """Any other text of JSON ends who asks whether it is held."""
    change(path, "UPDATE sessions SET holders = ? WHERE id = 's0007'", holders)
    change(path, "UPDATE sessions SET holders = '{\"planner\": 5}' WHERE id = 's0008'")
    repaired(path)
    assert check_sessions(path) == SESSIONS
    with reading(path) as reader:
        held = [reader.session(id) for id in ("s0007", "s0008")]
        assert [each and each.holders for each in held] == ["{}", '{"planner": 5}']


def test_the_number_of_an_item_that_is_there_is_not_given_again(path: Path) -> None:
    change(path, "UPDATE sessions SET items = 2 WHERE id = 's0007'")
    repaired(path)
    assert check_sessions(path) == SESSIONS


def readable(reader: SqliteReader) -> list[int]:
    """The daemon's checkpoints of which everything can be read."""
    found = []
    for info in reader.checkpoint_infos(DAEMON, CHECKPOINTS + 1):
        it = opened(reader, info.id)
        assert msgspec.json.decode(it.texts["tracker"]) == {"n": info.id}
        assert msgspec.json.decode(it.texts["planner"]) == turns(info.id)
        assert [each.name for each in it.manifest.participants] == ["tracker", "planner"]
        found.append(info.id)
    return found


@pytest.mark.parametrize("name", ["checkpoints", "checkpoint_parts", "checkpoint_data"])
@pytest.mark.parametrize("which", [0, -1])
def test_the_daemons_checkpoints_that_are_left_are_whole(path: Path, name: str, which: int) -> None:
    """Nobody is handed one of which a part is lost; the newest that is left is taken up."""
    wipe(path, leaves(path, name)[which])
    done = repaired(path)
    with reading(path) as reader:
        left = readable(reader)
        assert len(left) == done.tables["checkpoints"].saved < CHECKPOINTS
        if left:
            assert newest_part(reader, "planner").id == max(left)
    database = start(path)
    store_daemons(database, CHECKPOINTS + 1)
    database.close()
    with reading(path) as reader:
        assert newest_part(reader, "tracker").id == max([*left, 0]) + 1


def test_a_root_of_the_daemons_checkpoints_that_is_gone_costs_none(path: Path) -> None:
    wipe(path, next(page for page, kind in pages_of(path, "checkpoint_data") if kind == "internal"))
    repaired(path)
    with reading(path) as reader:
        assert readable(reader) == list(range(CHECKPOINTS, 0, -1))


@pytest.mark.parametrize("pieces", ["[]", '[[["planner"], ["00"], ""]]', '{"a": 1}'])
def test_a_checkpoint_of_the_daemon_that_does_not_say_what_it_is_made_of_is_passed_over(
    path: Path, pieces: str
) -> None:
    change(path, "UPDATE checkpoints SET pieces = ? WHERE id = ?", pieces, CHECKPOINTS)
    repaired(path)
    with reading(path) as reader:
        assert newest_part(reader, "planner").id == CHECKPOINTS - 1
        assert newest_part(reader, "tracker").id == CHECKPOINTS - 1


@pytest.mark.parametrize("state", ["[1]", '{"$manifest": {"boot": "one"}}'])
def test_a_checkpoint_of_the_daemon_without_a_manifest_is_passed_over_and_named(
    path: Path, state: str
) -> None:
    sql = "UPDATE checkpoints SET state = ?1, pieces = NULL, size = length(?1) WHERE id = ?2"
    change(path, sql, state, CHECKPOINTS)
    repaired(path)
    with reading(path) as reader:
        with pytest.raises(StorageError, match=f"checkpoint {CHECKPOINTS} of the daemon"):
            opened(reader, CHECKPOINTS)
        assert newest_part(reader, "planner").id == CHECKPOINTS - 1


def test_a_part_of_a_checkpoint_of_the_daemon_of_another_length_is_not_handed_on(
    path: Path,
) -> None:
    """Nor by a daemon on a database that nobody has repaired; a verification names it."""
    change(path, "UPDATE checkpoints SET pieces = '[]' WHERE id = ?", CHECKPOINTS)
    said = " ".join(one.text for one in verify_database(str(path), watch=lambda _: None))
    assert f"checkpoint {CHECKPOINTS} of $daemon: it has " in said
    with reading(path) as reader:
        with pytest.raises(StorageError, match="4 bytes of planner are there"):
            opened(reader, CHECKPOINTS)
        assert newest_part(reader, "planner").id == CHECKPOINTS - 1


def test_nothing_is_made_up_of_pages_that_are_damaged_everywhere(whole: Path, path: Path) -> None:
    """A leaf of each table."""
    before = rows_of(whole)
    names = ("sessions", "session_items", "checkpoints", "checkpoint_data", "checkpoint_parts")
    for name in names:
        wipe(path, leaves(path, name)[0])
    repaired(path)
    check_sessions(path)
    with reading(path) as reader:
        readable(reader)
    after = rows_of(path)

    def without_sums(rows: set[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
        return {row[:-1] for row in rows}  # item_bytes is the last column of sessions

    assert without_sums(after["sessions"]) <= without_sums(before["sessions"])
    for name in ("session_items", "checkpoints", "checkpoint_data"):
        assert after[name] <= before[name]
