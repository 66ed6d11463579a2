"""What a migration proves, and how it finds out that something is not so."""

from __future__ import annotations

from typing import Any

import apsw
import pytest

from holdfast.errors import SwapError
from holdfast.storage.migrating.catalog import Row, Table
from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import Place
from holdfast.storage.migrating.sqlite_rows import SqliteRows
from holdfast.storage.migrating.sqlite_target import SqliteTarget
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.storage.state_records import ChangeState, CreateEntity
from tests.conformance.moving import SWAP
from tests.storage.making import append, events, origin
from tests.storage.migrating.copying import copied


def test_old_data_that_differs_is_told(
    writer: SqliteDatabase, moving: Migration, source: Place
) -> None:
    writer.begin_capture(SWAP)
    copied(moving)
    writer.close()
    moving.finish()
    where = moving.commit()
    connection = apsw.Connection(where)
    connection.execute("UPDATE events SET subject = 'x' WHERE seq = 5")
    connection.close()
    with pytest.raises(SwapError, match="table events has 10 rows"):
        moving.verify_old()


def test_the_end_reads_no_more_than_what_is_left_however_much_there_is(
    writer: SqliteDatabase, moving: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(writer, events(3_000, first=10))
    writer.begin_capture(SWAP)
    copied(moving)
    append(writer, events(7, first=3_010), origin(1))
    writer.close()
    read = []
    for name in ("after", "having", "count"):
        whole = getattr(SqliteRows, name)

        def counted(*arguments: Any, whole: Any = whole) -> Any:
            read.append(found := whole(*arguments))
            return found

        monkeypatch.setattr(SqliteRows, name, counted)
    proof = moving.finish()
    assert proof.last_seq == 3_017
    assert proof.tail == 8  # and the mark of their sender
    assert sum(len(found[0] if isinstance(found, tuple) else found) for found in read) < 50


@pytest.mark.parametrize("table", ["events", "entities"])
def test_a_target_that_does_not_keep_what_it_is_given_is_found_out(
    writer: SqliteDatabase, moving: Migration, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    writer.apply([ChangeState(None, [CreateEntity(f"e{n}", "t", '{"n": 1}') for n in range(3)])])
    writer.begin_capture(SWAP)
    whole = SqliteTarget.insert

    def spoiling(self: SqliteTarget, into: Table, rows: list[Row]) -> None:
        if into.name == table:  # the last but one
            rows = [*rows[:-2], (*rows[-2][:3], 7, *rows[-2][4:]), rows[-1]]
        whole(self, into, rows)

    monkeypatch.setattr(SqliteTarget, "insert", spoiling)
    with pytest.raises(SwapError, match="does not keep what it is given") as found:
        copied(moving)
    assert found.value.table == table
    assert found.value.key


def test_what_entities_are_found_by_is_read_back_too(
    writer: SqliteDatabase, moving: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.apply([ChangeState(None, [CreateEntity("e", "t", '{"n": 1}')])])
    writer.begin_capture(SWAP)
    monkeypatch.setattr(SqliteTarget, "_add_properties", lambda *_: None)
    with pytest.raises(SwapError, match="table properties: what entity 'e' is found by"):
        copied(moving)
