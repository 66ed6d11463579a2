"""Checks of what has a name made of its contents: large data of events, parts of checkpoints.

Each yields what is wrong, in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import apsw

from holdfast.errors import StorageError
from holdfast.storage.checkpoint_records import Part
from holdfast.storage.parts import unpack as unpack_part
from holdfast.storage.payloads import reference
from holdfast.storage.payloads import unpack as unpack_payload
from holdfast.storage.sqlite_schema import has_table

__all__ = ["check_parts", "check_payloads", "is_part", "is_payload"]


def check_payloads(connection: apsw.Connection) -> Iterator[str]:
    """Every payload hashes to what it is called, and every reference leads to one."""
    if not has_table(connection, "payloads"):
        return
    for row in connection.execute("SELECT ref, bytes, codec, body FROM payloads"):
        ref, size, codec, body = cast("tuple[str, int, str, bytes]", row)
        if not is_payload(ref, size, codec, body):
            yield f"payload {ref} is damaged: its text is not what it is called by"
    lost = _lost(connection, "lost_payloads")
    missing = connection.execute(
        "SELECT count(*), min(seq), max(seq) FROM events AS e WHERE payload IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM payloads WHERE ref = e.payload)"
    ).fetchone()
    count, first, last = cast("tuple[int, int, int]", missing)
    if count:
        head = "note: a repair lost the data of" if count <= lost else "there is no data of"
        yield f"{head} {count} events of numbers {first} to {last}"


def check_parts(connection: apsw.Connection) -> Iterator[str]:
    """Every part of a checkpoint hashes to what it is called."""
    if not has_table(connection, "checkpoint_parts"):
        return
    rows = connection.execute(
        "SELECT hash, size, codec, data FROM checkpoint_parts LEFT JOIN checkpoint_data USING (id)"
    )
    for row in rows:
        name, size, codec, data = cast("tuple[bytes, int | None, int, bytes]", row)
        if size is None:
            yield f"part {name.hex()} has no data"
        elif not is_part(name, size, codec, data):
            yield f"part {name.hex()} is damaged: its data is not what it is called by"


def is_payload(ref: str, size: int, codec: str, body: bytes) -> bool:
    """Whether it is what it is called."""
    try:
        text = unpack_payload(codec, body, size)
    except ValueError:
        return False
    return codec in ("plain", "zstd") and len(text) == size and reference(text) == ref


def is_part(name: bytes, size: int, codec: int, data: bytes) -> bool:
    """Whether it is what it is called."""
    try:
        return len(unpack_part(Part(name, size, codec, data))) == size
    except StorageError:
        return False


def _lost(connection: apsw.Connection, name: str) -> int:
    """What a repair could not save, as it has noted."""
    return cast(int, connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).get or 0)
