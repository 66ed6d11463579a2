"""Everything that can be wrong with a database is found, and named where it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest

from holdfast.errors import DamagedError, SchemaError
from holdfast.storage.database_file import PAGE_SIZE
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.storage.sqlite_schema import VERSION
from holdfast.storage.verifying import CHECKS, Finding, verify_database
from tests.storage.conftest import StillClock
from tests.storage.damaging import fill, pages_of, wipe


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "holdfast.db"
    database = SqliteDatabase(path, daemon="d", durability="committed", clock=StillClock())
    fill(database)
    database.close()
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "holdfast.db"))


def wrong(path: Path) -> dict[str, Finding]:
    found = verify_database(str(path), watch=lambda _: None)
    return {one.check: one for one in reversed(found) if one.level == "error"}


def test_a_whole_database_has_nothing_wrong(path: Path) -> None:
    found = verify_database(str(path), watch=lambda _: None)
    assert [one.check for one in found] == ["schema", *(name for name, *_ in CHECKS)]
    assert {one.level for one in found} == {"ok"}
    assert found[0].text == f"version {VERSION}"


@pytest.mark.parametrize(
    ("sql", "check", "text"),
    [
        ("UPDATE payloads SET bytes = 5 WHERE rowid = 1", "payloads", "payload .* is damaged"),
        ("DELETE FROM payloads WHERE rowid = 1", "payloads", "there is no data of 1 events"),
        ("DELETE FROM checkpoint_data WHERE id = 1", "checkpoint parts", "part .* has no data"),
        (
            "UPDATE checkpoint_data SET data = CAST('x' AS BLOB) WHERE id = 1",
            "checkpoint parts",
            "part .* is damaged",
        ),
        ("UPDATE checkpoint_parts SET refs = 9 WHERE id = 1", "checkpoints", "counted as 9"),
        (
            "DELETE FROM checkpoint_parts WHERE id = 1",
            "checkpoints",
            "checkpoint .* of planner: 1 of its .* parts are missing",
        ),
        (
            "INSERT INTO checkpoint_pins VALUES ('planner', 'good', 99)",
            "checkpoints",
            "pin good of planner points to checkpoint 99",
        ),
        (
            "DELETE FROM events WHERE seq IN (7, 8)",
            "sequence numbers",
            "2 numbers .* have no event.*noted 0.*: 7 to 8",
        ),
        ("UPDATE meta SET value = 9e6 WHERE name = 'synced_seq'", "sequence numbers", "9000000"),
        ("UPDATE senders SET mark = 3", "marks", "of planner from .*, are above its mark 3"),
        (
            "INSERT INTO subscribers VALUES ('s', 99999, '{}', 1, 'o', 1, 1)",
            "marks",
            "subscriber s has acknowledged up to 99999",
        ),
        ("UPDATE session_totals SET count = 3", "sums", "says 3 sessions .* there are 60"),
        ("UPDATE queues SET length = 5 WHERE namespace = 'e1'", "sums", "inbox of e1 .* 5 items"),
        ("DELETE FROM properties WHERE name = 'load'", "sums", "entity e0 has 2 .* of which 1"),
        ("DROP INDEX events_by_session", "tables", "index events_by_session is missing"),
        ("DROP TRIGGER events_numbers_stay_used", "tables", "trigger .* is missing"),
    ],
)
def test_what_does_not_add_up_is_named(path: Path, sql: str, check: str, text: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()
    found = wrong(path)
    assert check in found
    with pytest.raises(AssertionError, match=text):
        raise AssertionError(found[check].text)
    assert "`holdfast" in found[check].advice


def test_an_orphan_is_named(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM queues WHERE namespace = 'e1'")  # without foreign keys
    connection.close()
    assert "of queue_items refers to a row of queues" in wrong(path)["references"].text


def test_a_damaged_page_is_named_and_the_other_checks_go_on(path: Path) -> None:
    leaf = [page for page, kind in pages_of(path, "events") if kind == "leaf"][1]
    wipe(path, leaf)
    found = wrong(path)
    assert f"page {leaf}" in found["pages"].text
    assert "restore" in found["pages"].advice
    assert "checkpoints" not in found


def test_what_retention_deleted_is_no_gap(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM events WHERE seq <= 20 AND payload IS NULL")
    count = connection.changes()
    connection.execute(
        "INSERT INTO deleted VALUES ('2026-01-01', '*', 'age', ?, 1, 1, 20)", (count,)
    )
    connection.close()
    assert wrong(path) == {}


def test_a_copy_from_the_middle_of_a_swap_is_whole_and_says_so(path: Path) -> None:
    """It can be restored.  Nor are many things of somebody else's an error."""
    database = SqliteDatabase(path, daemon="d", durability="committed", clock=StillClock())
    database.begin_capture("1-a")
    database.close()
    assert wrong(path) == {}
    found = verify_database(str(path), watch=lambda _: None)
    (note,) = [one.text for one in found if one.level == "note"]
    assert note.startswith("swap 1-a keeps a log of changed rows")
    connection = apsw.Connection(str(path))
    for n in range(30):
        connection.execute(f"CREATE TABLE mine_{n} (a)")
    connection.close()
    assert wrong(path) == {}


def test_what_is_none_of_ours_is_refused(tmp_path: Path, path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("dear diary\n")
    with pytest.raises(SchemaError, match="dear diary"):
        verify_database(str(text), watch=lambda _: None)
    wipe(path, 1)
    with pytest.raises(DamagedError, match="head of the file"):
        verify_database(str(path), watch=lambda _: None)
    assert path.stat().st_size % PAGE_SIZE == 0
