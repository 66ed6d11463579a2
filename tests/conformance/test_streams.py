"""Streams: versions without a gap, compare-and-append, all or nothing, on every backend."""

from __future__ import annotations

import psycopg
import pytest

from holdfast.errors import Conflict, InvalidInputError
from holdfast.storage.ports import Database, Reader
from holdfast.storage.records import Origin, RawEvent
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.storage.stream_records import AppendStream, StreamAppended
from tests.conformance.conftest import Backend
from tests.storage.making import append as append_events
from tests.storage.making import apply_one, event, origin

LARGE = f'"{"x" * 20_000}"'


def of(stream: str, *data: str, key: str | None = None) -> list[RawEvent]:
    return [(1, "t", "s", stream, None, None, None, None, 0, key, each) for each in data]


def append(
    database: Database,
    stream: str,
    expected: int | None,
    events: list[RawEvent],
    numbered: Origin | None = None,
) -> StreamAppended:
    outcome = apply_one(database, AppendStream(numbered, stream, expected, events))
    assert isinstance(outcome, StreamAppended)
    return outcome


def delete(backend: Backend, database: Database, seq: int) -> None:
    """As retention does it, whatever is asked of it."""
    sql = f"DELETE FROM events WHERE daemon = '{backend.daemon}' AND seq = {seq}"
    if isinstance(database, SqliteDatabase):
        database._transact(lambda: database._connection.execute(sql))
    else:
        with psycopg.connect(backend.where) as connection:
            connection.execute(sql.replace("events", "holdfast.events"))


def versions(reader: Reader, stream: str) -> list[tuple[int, str]]:
    return [(version, event.data) for version, event in reader.stream(stream, 0, 100).events]


def test_versions_count_from_one_in_each_stream(database: Database, reader: Reader) -> None:
    assert append(database, "a", 0, of("a", "1", "2")) == StreamAppended(2, 1, 2)
    append_events(database, [event()])
    assert append(database, "b", None, of("b", "3")) == StreamAppended(1, 4, 1)
    assert append(database, "a", 2, of("a", LARGE)).version == 3
    assert versions(reader, "a") == [(1, "1"), (2, "2"), (3, "null")]
    assert versions(reader, "b") == [(1, "3")]
    part = reader.stream("a", 1, 1)
    assert (part.version, [version for version, _ in part.events]) == (3, [2])
    assert part.events[0][1].seq == 2
    assert reader.stream("nowhere", 0, 10).version == 0


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_another_version_than_expected_stores_nothing_and_names_both(
    database: Database, reader: Reader, expected: int
) -> None:
    append(database, "a", 0, of("a", "1", "2"))
    with pytest.raises(Conflict, match="'a'") as caught:
        append(database, "a", expected, of("a", "3"))
    assert (caught.value.expected, caught.value.current) == (expected, 2)
    assert versions(reader, "a") == [(1, "1"), (2, "2")]
    assert reader.last_seq() == 2


def test_a_repeat_of_a_command_gets_its_first_answer(database: Database, reader: Reader) -> None:
    first = append(database, "a", 0, of("a", "1"), origin(1, stream="writer"))
    with pytest.raises(Conflict):
        append(database, "a", 0, of("a", "2"), origin(2, stream="writer"))
    assert append(database, "a", 0, of("a", "1"), origin(1, stream="writer")) == first
    append(database, "a", 1, of("a", "3"))
    with pytest.raises(Conflict) as caught:
        append(database, "a", 0, of("a", "2"), origin(2, stream="writer"))
    assert caught.value.current == 1
    assert versions(reader, "a") == [(1, "1"), (2, "3")]


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [*of("a", "1"), *of("b", "2")],
        of("a", "1", "no JSON"),
        of("a", "1", "2", key="one"),
        of("a", "1", key="taken"),
    ],
)
def test_one_bad_event_refuses_all_of_them(
    database: Database, reader: Reader, bad: list[RawEvent]
) -> None:
    append(database, "a", 0, of("a", "0", key="taken"))
    with pytest.raises(InvalidInputError, match="stream 'a'"):
        append(database, "a", 1, bad)
    assert versions(reader, "a") == [(1, "0")]
    assert append(database, "a", 1, of("a", "1")) == StreamAppended(2, 2, 1)


def test_a_version_is_never_used_again_whatever_was_deleted(
    backend: Backend, database: Database, reader: Reader
) -> None:
    append(database, "a", 0, of("a", "1", "2", "3"))
    for seq, left in ((1, [2, 3]), (3, [2]), (2, [])):
        delete(backend, database, seq)
        assert [version for version, _ in versions(reader, "a")] == left
    assert reader.stream("a", 0, 10).version == 3
    assert append(database, "a", 3, of("a", "4")) == StreamAppended(4, 4, 1)
