"""Migrations from one database of a test to the next, with whatever happens meanwhile."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from holdfast.clock import Clock, SystemClock
from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import Mode, Place, Proof
from holdfast.storage.ports import Database
from tests.conformance.other_eyes import Rows, all_rows

SWAP: Final = "swap-1"
Opens = Callable[[Place], Database]


def sqlite_place(folder: Path, daemon: str = "d", name: str = "") -> Place:
    path = folder / (name or f"{secrets.token_hex(4)}.db")
    return Place(backend="sqlite", path=str(path), daemon=daemon)


def postgresql_place(dsn: str, daemon: str = "d") -> Place:
    return Place(backend="postgresql", dsn=dsn, daemon=daemon, home="here")


def opened(place: Place, clock: Clock, **options: Any) -> Database:
    """Its writer."""
    common: dict[str, Any] = {"daemon": place.daemon, "durability": "committed", "clock": clock}
    if place.backend == "postgresql":
        from holdfast.storage.postgresql.database import PostgresqlDatabase

        return PostgresqlDatabase(place.dsn, home=place.home, **common, **options)
    from holdfast.storage.sqlite import SqliteDatabase

    return SqliteDatabase(place.path, **common, **options)


def contents(place: Place) -> dict[str, Rows]:
    """Read without holdfast."""
    return all_rows(place.dsn or place.path, place.daemon)


def migration(
    source: Place, target: Place, *, swap: str = SWAP, mode: Mode = "copy", resumes: bool = False
) -> Migration:
    clock = SystemClock()
    return Migration(source, target, swap=swap, mode=mode, clock=clock, resumes=resumes)


def moved(
    writer: Database,
    source: Place,
    target: Place,
    *,
    swap: str = SWAP,
    meanwhile: Callable[[], None] = lambda: None,
    resumes: bool = False,
) -> Proof:
    """All of it, in slices as small as there are, ``meanwhile`` between any two of them.

    The writer is closed; both sides hold the same then, as others see it.
    """
    if not resumes:
        writer.begin_capture(swap)
    moving = migration(source, target, swap=swap, resumes=resumes)
    try:
        moving.prepare()
        meanwhile()
        while not moving.check(0.0).is_done:
            meanwhile()
        while not moving.copy(0.0).is_done:
            meanwhile()
        meanwhile()
        for _ in range(3):
            moving.follow(0.0)
            meanwhile()
        writer.close()
        proof = moving.finish()
        assert contents(target) == contents(source)
        moving.commit()
        assert moving.verify_old().tables == proof.tables
        return proof
    finally:
        moving.abandon()
