"""Cursors: text that says behind which event of which database a reader stands."""

from __future__ import annotations

import pytest

from holdfast.errors import CursorError, InvalidInputError
from holdfast.storage.cursors import Cursor
from holdfast.storage.records import Position
from holdfast.storage.sqlite import SqliteReader
from tests.storage.conftest import Opener, ReaderOpener
from tests.storage.making import append, events


@pytest.mark.parametrize("text", ["0.0", "1.1", "7.1042", f"3.{2**63 - 1}"])
def test_a_cursor_comes_back_from_its_text(text: str) -> None:
    assert str(Cursor.parse(text)) == text


NO_CURSORS = (
    *("", "7", "7.", ".7", "1.2.3", "-1.2", "1.-2", "01.2", "1.02", " 1.2", "1.2\n", "a.b"),
    *(f"1.{2**63}", f"{2**63}.1", "1.\N{ARABIC-INDIC DIGIT TWO}", "1." + "9" * 10_000),
)


@pytest.mark.parametrize("text", NO_CURSORS, ids=range(len(NO_CURSORS)))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"expected EPOCH\.SEQ") as caught:
        Cursor.parse(text)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("text", ["0.0", "0.10", "2.7", "2.10"])
def test_a_cursor_of_this_database_is_taken(text: str) -> None:
    Cursor.parse(text).check(Position(last_seq=10, epoch=2))


@pytest.mark.parametrize("text", ["3.1", "2.11", "1.11"])
def test_a_cursor_of_another_database_is_refused_by_name(text: str) -> None:
    with pytest.raises(CursorError, match=r"at 2\.10; .* restored .*after=0") as caught:
        Cursor.parse(text).check(Position(last_seq=10, epoch=2))
    assert (caught.value.cursor, caught.value.current) == (text, "2.10")


def test_the_position_is_that_of_the_writer(
    open_database: Opener, open_reader: ReaderOpener
) -> None:
    database = open_database()
    append(database, events(3))
    database.close()
    reopened = open_database()
    reader: SqliteReader = open_reader()
    assert reader.position() == reopened.position() == Position(last_seq=3, epoch=2)
