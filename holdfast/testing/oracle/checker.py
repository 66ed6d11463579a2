"""The checker: a database and the journals of its clients, and what of the promises is broken.

It reads with Python's own sqlite3, another SQLite than the daemon's, and imports nothing that the
daemon runs: a mistake in there cannot hide itself here.  What is in PostgreSQL it copies first.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from holdfast.testing.oracle.entities import check_entities
from holdfast.testing.oracle.events import check_events
from holdfast.testing.oracle.keeping import check_checkpoints, check_sessions
from holdfast.testing.oracle.lives import Life, read_journals
from holdfast.testing.oracle.postgresql import copied, is_dsn
from holdfast.testing.oracle.structure import check_structure
from holdfast.testing.oracle.tells import check_tells
from holdfast.testing.oracle.verdict import Level, Verdict

__all__ = ["check", "check_lives"]


def check(
    database: str | os.PathLike[str],
    journals: Iterable[str | os.PathLike[str]],
    *,
    level: Level = "committed",
    daemon: str = "default",
) -> Verdict:
    """Hold the journals (files, or folders of them) against the database.

    ``database`` is a file, or a DSN of PostgreSQL, where ``daemon`` is whose rows are looked at.

    ``level`` "disk" is for after a power loss: what was acknowledged as committed and not as on
    the disk may be missing then, at the end and not in the middle.
    Raises JournalError, OSError, sqlite3.Error when there is nothing that could be checked.
    """
    lives = read_journals(map(Path, journals))
    for life in lives:
        life.level = level
    return check_lives(database, lives, daemon=daemon)


def check_lives(
    database: str | os.PathLike[str], lives: list[Life], *, daemon: str = "default"
) -> Verdict:
    """The same for journals that were read, each with a level of its own."""
    verdict = Verdict()
    for life in lives:
        for message in life.messages.values():
            verdict.counts[message.kind, "sent"] += 1
            verdict.counts[message.kind, message.told or "unanswered"] += 1
    with closing(_viewer(os.fspath(database), daemon)) as viewer:
        viewer.execute("BEGIN")  # one state of it, if somebody writes meanwhile
        check_structure(viewer, verdict)
        if not verdict.found["integrity"]:
            for check in (
                check_events,
                check_entities,
                check_sessions,
                check_checkpoints,
                check_tells,
            ):
                check(viewer, lives, verdict)
    return verdict


def _viewer(database: str, daemon: str) -> sqlite3.Connection:
    if is_dsn(database):
        return copied(database, daemon)
    return sqlite3.connect(f"file:{quote(database)}?mode=ro", uri=True)
