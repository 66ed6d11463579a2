"""Large data of events: stored once, compressed where it pays, gone with its last event."""

from __future__ import annotations

import json
import os
from pathlib import Path

import apsw
import pytest

from holdfast.storage import schema_streams, sqlite_schema
from holdfast.storage.payloads import PAYLOAD_BYTES, Payload, reference
from holdfast.storage.records import EventFilter
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.conftest import Opener, ReaderOpener
from tests.storage.making import append, event, origin

LARGE = json.dumps(["some result of a tool"] * 1_000)
# Base 94 of random bytes has little that zstd could leave out.
NOISE = json.dumps("".join(chr(33 + byte % 94) for byte in os.urandom(40_000)))
LIMIT = 2**24


def rows(path: Path, sql: str) -> list[tuple[apsw.SQLiteValue, ...]]:
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return viewer.execute(sql).fetchall()
    finally:
        viewer.close()


def data_of(reader: SqliteReader) -> list[str]:
    """The data of every event, wherever it is."""
    found = []
    for stored in reader.events(EventFilter(), 100):
        text = stored.data
        if stored.payload is not None:
            assert text == "null"
            (text,) = reader.payloads([stored.payload], LIMIT)  # type: ignore[assignment]  # or the comparison fails
        found.append(text)
    return found


def delete(database: SqliteDatabase, seq: int) -> None:
    sql = "DELETE FROM events WHERE seq = ?"
    database._transact(lambda: database._connection.execute(sql, (seq,)))


def test_only_more_than_the_limit_is_stored_apart(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    texts = [json.dumps("x" * (PAYLOAD_BYTES - 2 + more)) for more in (0, 1)]
    texts += [
        json.dumps("é" * (PAYLOAD_BYTES // 2 - 1 + more), ensure_ascii=False) for more in (0, 1)
    ]
    outcome = append(database, [event(n, data=text) for n, text in enumerate(texts)])
    assert [index for index, _ in outcome.payloads] == [1, 3]
    assert data_of(reader) == texts


def test_the_same_data_is_stored_once_and_compressed(
    database: SqliteDatabase, reader: SqliteReader, path: Path
) -> None:
    large = [event(n, data=LARGE) for n in range(3)]
    outcome = append(database, [*large, event(3)])
    append(database, [event(4, data=LARGE)])
    assert outcome.payloads == [(n, reference(LARGE.encode())) for n in range(3)]
    ((ref, size, codec, packed),) = rows(
        path, "SELECT ref, bytes, codec, length(body) FROM payloads"
    )
    assert (ref, size, codec) == (reference(LARGE.encode()), len(LARGE), "zstd")
    assert isinstance(packed, int)
    assert packed < len(LARGE) / 10
    assert data_of(reader) == [LARGE, LARGE, LARGE, "{}", LARGE]


def test_what_does_not_shrink_is_stored_as_it_is_and_shown_by_the_view(
    database: SqliteDatabase, reader: SqliteReader, path: Path
) -> None:
    append(database, [event(data=NOISE), event(data=LARGE), event()])
    assert data_of(reader) == [NOISE, LARGE, "{}"]
    assert rows(path, "SELECT codec FROM payloads ORDER BY bytes") == [("zstd",), ("plain",)]
    shown = rows(path, "SELECT data, payload, payload_bytes FROM events_readable ORDER BY seq")
    large = reference(LARGE.encode())
    assert shown[0] == (NOISE, reference(NOISE.encode()), len(NOISE))
    assert shown[1:] == [("null", large, len(LARGE)), ("{}", None, None)]
    assert Payload.of(large).bytes == len(LARGE)


def test_large_data_that_is_no_json_is_refused_alone(
    database: SqliteDatabase, reader: SqliteReader, path: Path
) -> None:
    bad = [event(data=LARGE[1:]), event(data="\ud800" * 10_000)]
    outcome = append(database, [event(data=LARGE), *bad, event(data=NOISE)])
    assert [index for index, _ in outcome.refused] == [1, 2]
    assert "json_valid" in outcome.refused[0][1]
    assert [index for index, _ in outcome.payloads] == [0, 3]
    assert data_of(reader) == [LARGE, NOISE]
    assert rows(path, "SELECT count(*) FROM payloads") == [(2,)]


def test_a_repeated_key_leaves_no_payload_behind(
    database: SqliteDatabase, reader: SqliteReader, path: Path
) -> None:
    append(database, [event(key="k", data=LARGE)], origin(1))
    outcome = append(database, [event(key="k", data=NOISE), event(data=LARGE)], origin(2))
    assert outcome.repeated == [(0, 1)]
    assert [index for index, _ in outcome.payloads] == [1]
    again = append(database, [event(key="k", data=NOISE), event(data=LARGE)], origin(2))
    assert (again.skipped, again.payloads) == (2, [])
    assert data_of(reader) == [LARGE, LARGE]
    assert rows(path, "SELECT count(*) FROM payloads") == [(1,)]


def test_a_payload_ends_with_the_last_event_that_has_it(
    database: SqliteDatabase, reader: SqliteReader, path: Path
) -> None:
    append(database, [event(data=LARGE), event(data=LARGE), event(data=NOISE)])
    for seq, left in ((1, 2), (2, 1), (3, 0)):
        delete(database, seq)
        assert rows(path, "SELECT count(*) FROM payloads") == [(left,)]
    assert reader.payloads([reference(LARGE.encode())], LIMIT) == [None]


def test_payloads_are_answered_up_to_a_bound_and_at_least_one(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    append(database, [event(data=LARGE), event(data=NOISE)])
    refs = [reference(text.encode()) for text in (LARGE, NOISE)]
    assert reader.payloads(refs, 1) == [LARGE]
    assert reader.payloads(refs, LIMIT) == [LARGE, NOISE]


def test_a_limit_of_zero_stores_nothing_apart(
    open_database: Opener, open_reader: ReaderOpener
) -> None:
    assert append(open_database(payload_bytes=0), [event(data=LARGE)]).payloads == []
    assert open_reader().newest(1)[0][12:] == (LARGE, None)


def test_a_file_from_before_payloads_is_read_as_it_is(
    path: Path, open_database: Opener, open_reader: ReaderOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sqlite_schema.MIGRATIONS.index(schema_streams.MIGRATION)
    old = apsw.Connection(str(path))
    for sql in sqlite_schema.MIGRATIONS[:before]:
        old.execute(sql)
    values = (1, "d", *event(data=LARGE))
    old.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    old.pragma("application_id", sqlite_schema.APPLICATION_ID)
    old.pragma("user_version", before)
    old.close()
    append(open_database(), [event(data=LARGE)])
    assert data_of(open_reader()) == [LARGE, LARGE]
