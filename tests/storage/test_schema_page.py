"""docs/SCHEMA.md names every table, column, index and view of a fresh database, and no other."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.conftest import Opener
from tests.storage.making import append, event

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "SCHEMA.md").read_text(encoding="utf-8")
COLUMN = re.compile(r"^\| `(\w+)` \| (\w+) \|", re.MULTILINE)
INDEX = re.compile(r"`(\w+)` \(([\w, ]+)\)")


def parts_of(chapter: str) -> dict[str, str]:
    """The sections of a chapter, by name."""
    (text,) = re.findall(rf"^## {chapter}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    _, *sections = re.split(r"^### (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(sections[::2], sections[1::2], strict=True))


@pytest.fixture
def viewer(open_database: Opener, path: Path) -> Iterator[sqlite3.Connection]:
    """A database as a viewer opens it, by Python's own SQLite."""
    append(open_database(full_text=True), [event(data='{"exit": 1}', key="task 1")])
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    yield connection
    connection.close()


def names(viewer: sqlite3.Connection, kind: str) -> set[str]:
    rows = viewer.execute(
        "SELECT name FROM sqlite_schema WHERE type = ? AND sql NOT NULL", (kind,)
    ).fetchall()
    found = {name for (name,) in rows}
    return {name for name in found if not name.startswith(("sqlite_", "events_text"))}


def test_the_page_names_every_table_and_column(viewer: sqlite3.Connection) -> None:
    sections = parts_of("Tables")
    sections.pop("events_text")
    assert set(sections) == names(viewer, "table")
    for table, text in sections.items():
        columns = viewer.execute(f"SELECT name, type FROM pragma_table_info('{table}')").fetchall()
        lines = "\n".join(f"| `{name}` | {type} | |" for name, type in columns)
        assert COLUMN.findall(text) == columns, f"{table} has\n{lines}"


def test_the_page_names_every_index(viewer: sqlite3.Connection) -> None:
    told = {
        name: columns.split(", ")
        for text in parts_of("Tables").values()
        for line in re.findall(r"^Indexes: (.*?)\.$", text, re.MULTILINE | re.DOTALL)
        for name, columns in INDEX.findall(line.replace("\n", " "))
    }
    there = {
        name: [
            column for (column,) in viewer.execute(f"SELECT name FROM pragma_index_info('{name}')")
        ]
        for name in names(viewer, "index")
    }
    assert told == there


def test_the_page_names_every_view_and_its_columns(viewer: sqlite3.Connection) -> None:
    sections = parts_of("Views")
    assert set(sections) == names(viewer, "view")
    for view, text in sections.items():
        cursor = viewer.execute(f"SELECT * FROM {view} LIMIT 1")
        (line,) = re.findall(r"^Columns: (.*?)\.$", text, re.MULTILINE | re.DOTALL)
        columns = [name for name, *_ in cursor.description]
        assert re.findall(r"`(\w+)`", line) == columns, f"{view} has {columns}"


def test_the_queries_of_the_page_run(viewer: sqlite3.Connection) -> None:
    """Those on the full-text table need a newer SQLite than some a viewer may have."""
    blocks = re.findall(r"```sql( full_text)?\n(.*?)```", PAGE, re.DOTALL)
    ran = 0
    for needs_text, block in blocks:
        if needs_text and sqlite3.sqlite_version_info < (3, 43):
            continue
        for query in filter(str.strip, block.split(";")):
            viewer.execute(query).fetchall()
            ran += 1
    assert ran >= 5
    below = viewer.execute(blocks[0][1].split(";")[-2]).fetchall()
    assert [seq for _, seq, *_ in below] == [1]
