"""The full-text index: what is committed is in it, whatever is taken back, deleted or resumed."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage.records import AppendEvents, EventFilter, RawEvent
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.sqlite_text import TextIndex
from tests.storage.conftest import Opener, ReaderOpener
from tests.storage.making import append, event, events

ALL = EventFilter()


def told(
    text: object, n: int = 0, *, session: str | None = None, type: str = "t", key: str | None = None
) -> RawEvent:
    return event(n, data=json.dumps(text), session=session, type=type, key=key)


def found(reader: SqliteReader, text: str, asked: EventFilter = ALL, **options: bool) -> list[int]:
    return [event.seq for event in reader.search(text, asked, 100, **options)]


def work_off(database: SqliteDatabase) -> int:
    """All chores; how many slices they took."""
    slices = 0
    while database.has_chores:
        database.work_off(0.001)
        slices += 1
    return slices


@pytest.fixture
def database(open_database: Opener) -> SqliteDatabase:
    return open_database(full_text=True, payload_bytes=1_000)


def test_words_of_the_data_are_found_the_newest_first(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    append(database, [told({"command": "ls -la"}), told({"a": [{"b": "the Café\nof ls"}]})])
    append(
        database, [told({"ls": "field"}), told("bare", session="s"), told({"n": 4711, "t": True})]
    )
    append(database, [event(data=json.dumps({"$bytes": "bHMK"})), told("ls " + "x " * 1_000)])
    assert found(reader, "ls") == [7, 2, 1]
    assert found(reader, "ls", reverse=False) == [1, 2, 7]
    assert found(reader, "cafe") == [2]
    assert found(reader, "4711") == [5]
    assert found(reader, '"of ls"') == [2]
    assert found(reader, "ls NOT la") == [7, 2]
    assert found(reader, "bar*") == [4]
    assert found(reader, "bHMK") == []
    assert not database.has_chores


def test_the_filter_holds_too(database: SqliteDatabase, reader: SqliteReader) -> None:
    append(database, [told("word", n, session="ab"[n % 2], type=f"t{n % 3}") for n in range(12)])
    assert found(reader, "word", EventFilter(session="a", types=("t[0]", "t1"))) == [11, 5]
    assert found(reader, "word", EventFilter(after=4, before=8)) == [7, 6, 5]
    assert [each.seq for each in reader.search("word", EventFilter(session="b"), 2)] == [12, 10]


def test_what_is_taken_back_is_not_found(database: SqliteDatabase, reader: SqliteReader) -> None:
    """A frame that fails is run again event by event; its numbers are given to others."""
    append(database, [told("first", key="k")])
    frame = [told("second"), told("repeated", key="k"), event(data="no json"), told("third")]
    append(database, frame)
    assert found(reader, "second OR third") == [3, 2]
    assert found(reader, "repeated") == []
    assert found(reader, "first") == [1]


def test_a_deleted_event_is_not_found(
    database: SqliteDatabase, reader: SqliteReader, path: Path
) -> None:
    append(database, [told("gone"), told("gone too"), told("kept")])
    viewer = apsw.Connection(str(path))
    viewer.execute("DELETE FROM events WHERE seq < 3")
    left = "SELECT rowid FROM events_text WHERE events_text MATCH 'gone OR kept'"
    assert viewer.execute(left).fetchall() == [(3,)], "nor is its text kept"
    viewer.close()
    assert found(reader, "gone OR kept") == [3]


def test_a_command_that_is_refused_leaves_no_words(path: Path) -> None:
    """Its events were noted, and their numbers taken back."""
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE meta (name PRIMARY KEY, value); CREATE TABLE events (seq)")
    index = TextIndex(connection)
    index.open(is_wanted=True, last_seq=0)
    index.note(1, [told("stays"), told("refused"), told("refused too")])
    index.note(2, [told("another")])
    index.flush(2)
    asked = "SELECT rowid FROM events_text WHERE events_text MATCH ?"
    assert connection.execute(asked, ("refused OR stays OR another",)).fetchall() == [(1,), (2,)]
    assert connection.execute(asked, ("refused",)).fetchall() == []
    connection.close()


def test_an_index_that_is_turned_on_later_covers_what_is_there(
    open_database: Opener, open_reader: ReaderOpener
) -> None:
    first = open_database(full_text=False, payload_bytes=1_000)
    for n in range(40):
        append(
            first, [told(f"number{n * 10 + m} {'x ' * (600 if m == 5 else 1)}") for m in range(10)]
        )
    first.close()
    second = open_database(full_text=True, payload_bytes=1_000)
    reader = open_reader()
    assert (reader.text_from(), second.has_chores) == (401, True)
    append(second, [told("new")])
    second.work_off(0.001)
    half = reader.text_from()
    assert half is not None
    assert 1 < half < 401
    assert found(reader, "new") == [401]
    second.close()  # and the rest another time
    third = open_database(full_text=True, payload_bytes=1_000)
    assert reader.text_from() == half
    assert work_off(third) > 1
    assert reader.text_from() == 1
    assert [found(reader, f"number{n}") for n in (0, 5, 399)] == [[1], [6], [400]]
    assert found(reader, "number*", reverse=False)[:3] == [1, 2, 3]


def test_an_index_that_is_turned_off_is_gone_slice_by_slice(
    open_database: Opener, open_reader: ReaderOpener
) -> None:
    first = open_database(full_text=True)
    for n in range(200):
        append(first, [told(" ".join(f"w{n}x{m}" for m in range(100)))])
    first.close()
    second = open_database(full_text=False)
    reader = open_reader()
    assert reader.text_from() is None
    append(second, [told("not indexed")])
    second.work_off(0.0)
    second.close()
    third = open_database(full_text=True)  # again, before all of it is gone
    assert reader.text_from() is None
    work_off(third)
    assert reader.text_from() == 1
    assert found(reader, "indexed") == [201]
    third.close()
    fourth = open_database(full_text=False)
    assert work_off(fourth) > 0
    tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'events_text%'"
    viewer = apsw.Connection(fourth.path)
    assert viewer.execute(tables).get == 0
    assert viewer.execute("PRAGMA integrity_check").get == "ok"
    viewer.close()


def test_what_is_stored_already_is_indexed_in_many_slices(open_database: Opener) -> None:
    first = open_database(full_text=False)
    for _ in range(10):
        append(first, [told("word " * 300) for _ in range(200)])
    first.close()
    second = open_database(full_text=True)
    slices = 0
    while second.has_chores:
        second.work_off(0.004)
        slices += 1
    assert slices > 10, "others would have to wait for it"


def test_the_index_is_whole_after_a_group_that_failed(
    database: SqliteDatabase, reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(last_seq: int) -> None:
        raise apsw.IOError("disk I/O error")

    append(database, [told("before")])
    with monkeypatch.context() as patch:
        patch.setattr(database._text, "flush", fail)
        (outcome,) = database.apply([AppendEvents(None, [told("lost")])])
        assert "I/O" in str(outcome)
    append(database, [told("after")])
    assert found(reader, "before OR lost OR after") == [2, 1]


@pytest.mark.parametrize(
    "text", ["", '"', "AND", "a-b", "nosuch: x", "*", "NEAR(", "x" * 100 + "("]
)
def test_a_text_that_is_no_search_is_refused(
    database: SqliteDatabase, reader: SqliteReader, text: str
) -> None:
    append(database, events(1))
    with pytest.raises(InvalidInputError, match="text = "):
        reader.search(text, ALL, 1)
