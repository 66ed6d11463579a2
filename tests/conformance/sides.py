"""Two databases that are told the same: an SQLite file, and a daemon of its own in PostgreSQL."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.storage.ports import Database, Reader
from holdfast.storage.postgresql.database import PostgresqlDatabase
from holdfast.storage.postgresql.reader import PostgresqlReader
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.clock import ManualClock


class Side:
    """One of the two."""

    def __init__(self, database: Database, reader: Reader) -> None:
        self.database = database
        self.reader = reader


@contextmanager
def both_sides(dsn: str, clock: ManualClock, **options: Any) -> Iterator[tuple[Side, Side]]:
    """``options`` are those of a Database."""
    daemon = f"d{secrets.token_hex(4)}"
    common = {"daemon": daemon, "durability": "committed", "clock": clock, **options}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "holdfast.db"
        sides = (
            Side(
                SqliteDatabase(path, **common),
                SqliteReader(path),
            ),
            Side(
                PostgresqlDatabase(dsn, home="here", **common),
                PostgresqlReader(dsn, daemon=daemon),
            ),
        )
        try:
            yield sides
        finally:
            for side in sides:
                side.reader.close()
                side.database.close()


# A method of a Reader, and with what it is called.
Asked = tuple[Any, ...]


def answer(reader: Reader, asked: Asked) -> Any:
    """Or what it is refused with."""
    method, *arguments = asked
    try:
        return getattr(reader, method)(*arguments)
    except HoldfastError as error:
        return said(error)


def said(error: HoldfastError) -> tuple[type, str]:
    """An error in words that name no backend."""
    return type(error), str(error).replace("PostgreSQL", "SQLite").partition(" look for")[0]


def told(outcome: Any) -> Any:
    return said(outcome) if isinstance(outcome, HoldfastError) else outcome
