"""Whether a database is what it was made to be: every page, every hash, every sum.

Reads only, one read transaction for each check, so that the log of a running writer is held up
for one at a time.  Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple, cast

import apsw

from holdfast.errors import StorageError
from holdfast.storage.migrating.sqlite_capture import SWAP_LOG, captured
from holdfast.storage.sqlite_connection import open_reading, storage_error
from holdfast.storage.sqlite_schema import VERSION
from holdfast.storage.verifying_contents import check_parts, check_payloads
from holdfast.storage.verifying_sums import (
    check_checkpoints,
    check_marks,
    check_numbers,
    check_sums,
)

__all__ = ["CHECKS", "Check", "Finding", "verify_database"]

SHOWN: Final = 20  # of one kind

Level = Literal["ok", "note", "error"]


class Finding(NamedTuple):
    """What was looked at, what it is like, and what to do where that is not well."""

    check: str
    level: Level
    text: str
    advice: str = ""


# Yields what is wrong, in words; a text that begins with "note: " is nothing wrong.
Check = Callable[[apsw.Connection], Iterator[str]]

_RESTORE: Final = (
    "`holdfast restore` a backup, or have `holdfast doctor --repair` save what can be read"
)
_REPAIR: Final = "`holdfast doctor --repair` puts it right, and says what it costs"


def verify_database(path: str, *, watch: Callable[[str], None]) -> list[Finding]:
    """What every check found; ``watch`` gets the name of each before it begins.

    Raises what ``open_reading`` does: then there is no database of ours to look at.
    """
    connection = open_reading(path)
    try:
        found = [_version(connection)]
        for name, check, advice in CHECKS:
            watch(name)
            found += _run(connection, path, name, check, advice)
        return found
    finally:
        connection.close()


def _version(connection: apsw.Connection) -> Finding:
    version = cast(int, connection.pragma("user_version"))
    if version < VERSION:
        return Finding("schema", "note", f"version {version}; the next start makes it {VERSION}")
    return Finding("schema", "ok", f"version {version}")


def _run(
    connection: apsw.Connection, path: str, name: str, check: Check, advice: str
) -> list[Finding]:
    found: list[Finding] = []
    try:
        connection.execute("BEGIN")
        for text in check(connection):
            is_note = text.startswith("note: ")
            if len(found) >= SHOWN and is_note:
                continue  # an error may follow
            if len(found) >= SHOWN:
                found.append(Finding(name, "error", "and more"))
                break
            level: Level = "note" if is_note else "error"
            found.append(
                Finding(name, level, text.removeprefix("note: "), "" if is_note else advice)
            )
    except (apsw.Error, StorageError) as error:  # either says what to do
        refusal = storage_error(error, path) if isinstance(error, apsw.Error) else error
        found.append(Finding(name, "error", str(refusal), ""))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return found or [Finding(name, "ok", "")]


def _check_pages(connection: apsw.Connection) -> Iterator[str]:
    """B-trees, free list, rows against indexes, types and CHECKs."""
    for (text,) in connection.execute(f"PRAGMA integrity_check({SHOWN})"):
        if text != "ok":
            yield cast(str, text).replace("\n", "; ")


def _check_references(connection: apsw.Connection) -> Iterator[str]:
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {rowid} of {table} refers to a row of {parent} that is not there"


def _check_schema(connection: apsw.Connection) -> Iterator[str]:
    """Every table, index, view and trigger as the migrations make them."""
    from holdfast.storage.sqlite_schema import template

    version = cast(int, connection.pragma("user_version"))
    sql = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB 'events_text*'"
    made = template(version)
    try:
        expected = {row[:2]: row[2] for row in made.execute(sql)}
    finally:
        made.close()
    found = {row[:2]: row[2] for row in connection.execute(sql)}
    logged = {key for key in found if cast(str, key[1]).startswith(SWAP_LOG)}
    for kind, name in expected.keys() - found.keys():
        yield f"{kind} {name} is missing"
    for key, text in found.items():
        if key in logged:
            continue
        if key not in expected:
            yield f"note: {key[0]} {key[1]} is none of holdfast's"
        elif text != expected[key]:
            yield f"{key[0]} {key[1]} is not as holdfast makes it"
    if ("table", SWAP_LOG) in logged and (swap := captured(connection)) is not None:
        yield f"note: swap {swap} keeps a log of changed rows; a start ends what nobody follows"


CHECKS: Final[tuple[tuple[str, Check, str], ...]] = (
    ("pages", _check_pages, _RESTORE),
    ("references", _check_references, _REPAIR),
    ("tables", _check_schema, _REPAIR),
    ("payloads", check_payloads, _RESTORE),
    ("checkpoint parts", check_parts, _RESTORE),
    ("checkpoints", check_checkpoints, _REPAIR),
    ("sequence numbers", check_numbers, _RESTORE),
    ("marks", check_marks, _REPAIR),
    ("sums", check_sums, _REPAIR),
)
