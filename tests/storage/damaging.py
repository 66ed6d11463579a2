"""A database with something of everything in it, and ways to damage it."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from holdfast.storage.database_file import PAGE_SIZE
from holdfast.storage.records import DeadLetter, SkipEvents, StoreDeadLetter
from holdfast.storage.session_records import StoreSessions
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.storage.state_records import (
    ChangeState,
    CreateEntity,
    Push,
    Relate,
)
from tests.storage.checkpoint_making import put
from tests.storage.making import append, apply_one, event, origin, session

EVENTS = 1_200
LARGE = 9  # one in so many has its data apart


def fill(database: SqliteDatabase) -> None:
    """Some pages of each kind of table."""
    for first in range(1, EVENTS + 1, 100):
        frame = [
            event(n, key=f"k{n}", session=f"s{n % 7}", data=f'"{_text(n)}"')
            for n in range(first, first + 100)
        ]
        append(database, frame, origin(first))
    apply_one(database, SkipEvents(origin(EVENTS + 1), 5, "overload:drop"))
    for n in range(40):
        apply_one(
            database,
            ChangeState(
                None,
                [
                    CreateEntity(f"e{n}", "agent", f'{{"name": "{n}", "load": {n}}}'),
                    Push(f"e{n}", "inbox", "1"),
                    Push(f"e{n}", "inbox", '"two"'),
                ],
            ),
        )
    for n in range(39):
        apply_one(database, ChangeState(None, [Relate(f"e{n}", "knows", f"e{n + 1}")]))
    apply_one(database, StoreSessions(None, [session(f"s{n}") for n in range(60)], [], []))
    turns: list[str] = []
    for n in range(12):
        turns.append(_text(n) * 20)
        put(database, "planner", {"turns": turns, "step": n})
    letter = DeadLetter(0, "one", "a", "1.1", "one", 1, "tell", "gone", 0, 5, b"\xa1y")
    apply_one(database, StoreDeadLetter(letter))


def _text(n: int) -> str:
    return f"{n} " + "".join(
        random.Random(n).choices("abcdefgh", k=9_000 if n % LARGE == 0 else 90)
    )


def rows_of(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    """All rows by table, as Python's own SQLite reads them."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        return {
            name: set(connection.execute(f"SELECT * FROM {name}").fetchall()) for (name,) in names
        }


def flip(path: Path, places: list[int]) -> None:
    """One bit of each of the bytes."""
    with path.open("r+b") as file:
        for n, place in enumerate(places):
            file.seek(place)
            (byte,) = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 1 << n % 8]))


def wipe(path: Path, page: int) -> None:
    """Nothing is left of a page; the first is 1."""
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_SIZE)
        file.write(os.urandom(PAGE_SIZE))


def pages_of(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """The pages of a table or an index: number and kind, the root first."""
    import apsw

    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        rows = connection.execute(
            "SELECT pageno, pagetype FROM dbstat WHERE name = ? ORDER BY path", (name,)
        ).fetchall()
        yield from cast("list[tuple[int, str]]", rows)
