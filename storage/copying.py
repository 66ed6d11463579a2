"""A copy of a database, page by page, of one moment, while others go on writing to it.

SQLite's backup API rather than ``VACUUM INTO``: it shows how far it is, can be broken off between
two steps, reads each page once and in order, and decodes nothing, which takes a third of the time.
``VACUUM INTO`` makes a smaller file and sorts everything for it.  One read transaction is held
open for all of the copy, so the writer's commits neither wait nor make it begin again (without
that each commit of another process would); its log cannot be begun anew until the copy is there.

The copy is beside its final name until it is on the disk and known to be whole.  Nothing is kept
here; what a kill leaves is one file that ends in ``.part``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

import apsw
import msgspec

from holdfast.errors import DamagedError, StorageError
from holdfast.storage.atomic_files import disk_errors, sync_folder
from holdfast.storage.sqlite_connection import open_reading, storage_error
from holdfast.storage.sqlite_events import LAST_SEQ

__all__ = ["Copy", "Progress", "as_one_file", "copy_database", "counts_of", "finish", "room_for"]

STEP: Final = 64  # pages, half a MiB: 1 ms between two looks at who wants it to stop
SYNC: Final = 16  # steps between two fsyncs, so that the last one stalls nobody's disk
PART: Final = ".part"
_BESIDE: Final = ("", "-journal", "-wal", "-shm")

# Gets the bytes that are copied, and how many there are.
Progress = Callable[[int, int], None]


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy has: rows by table, as the database had them at that moment."""

    path: str
    bytes: int
    pages: int
    version: int
    epoch: int
    last_seq: int
    rows: dict[str, int]


@contextmanager
def room_for(target: str, *, replace: bool) -> Iterator[str]:
    """A name beside ``target`` for what becomes it; nothing is left there in the end.

    Raises StorageError where ``target`` is there and may not be replaced, or a program has it open.
    """
    folder, name = os.path.split(os.path.abspath(target))
    if not os.path.isdir(folder):
        raise StorageError(f"{folder}: is no folder; make it, or name another one")
    if os.path.isdir(target):
        raise StorageError(f"{target}: is a folder; name a file")
    if os.path.lexists(target) and not replace:
        raise StorageError(f"{target}: exists; name another file, or replace it with --force")
    if os.path.exists(f"{target}-wal") or os.path.exists(f"{target}-journal"):
        raise StorageError(
            f"{target}: a program has it open, or left it without closing it: {target}-wal is "
            "there; name another file"
        )
    draft = os.path.join(folder, f".{name}.{os.getpid()}{PART}")
    try:
        yield draft
    finally:
        for suffix in _BESIDE:
            with suppress(FileNotFoundError):
                os.unlink(draft + suffix)


def copy_database(source: str, draft: str, watch: Progress) -> Copy:
    """Copy ``source`` as it is now to ``draft``, and see that the copy is whole.

    Raises DamagedError, SchemaError, StorageError.
    """
    reader = open_reading(source)
    try:
        reader.execute("BEGIN")
        rows, (epoch, last_seq) = counts_of(reader), _position(reader)
        version = cast(int, reader.pragma("user_version"))
        with disk_errors(draft):
            os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        pages = _copy_pages(reader, draft, watch)
        reader.execute("COMMIT")
    except apsw.Error as error:
        raise storage_error(error, source) from error
    finally:
        reader.close()
    as_one_file(draft)
    _check(draft, source, rows)
    return Copy(
        path=draft,
        bytes=os.stat(draft).st_size,
        pages=pages,
        version=version,
        epoch=epoch,
        last_seq=last_seq,
        rows=rows,
    )


def as_one_file(draft: str) -> None:
    """Have all of it in the file itself, and take from the head that there is a log beside it."""
    connection = apsw.Connection(draft)
    try:
        connection.pragma("journal_mode", "DELETE")
    except apsw.Error as error:
        raise storage_error(error, draft) from error
    finally:
        connection.close()


def finish(draft: str, target: str) -> None:
    """Have the draft on the disk under its final name."""
    with disk_errors(target):
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(draft, target)
        sync_folder(Path(target).absolute().parent)


def counts_of(connection: apsw.Connection) -> dict[str, int]:
    """Rows by table.  Raises apsw.Error."""
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"
    ).fetchall()
    return {
        cast(str, name): cast(int, connection.execute(f'SELECT count(*) FROM "{name}"').get)
        for (name,) in names  # of the schema, where a name with a quote is none of ours
        if '"' not in cast(str, name)
    }


def _position(reader: apsw.Connection) -> tuple[int, int]:
    epoch = reader.execute("SELECT value FROM meta WHERE name = 'epoch'").get
    return cast(int, epoch), cast(int, reader.execute(LAST_SEQ).get)


def _copy_pages(reader: apsw.Connection, draft: str, watch: Progress) -> int:
    copy = apsw.Connection(draft)
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        copy.pragma("synchronous", "OFF")  # it is synced here, as a whole
        copy.pragma("journal_mode", "OFF")
        size = cast(int, reader.pragma("page_size"))
        with copy.backup("main", reader, "main") as backup:
            steps = 0
            while not backup.step(STEP):
                watch((backup.page_count - backup.remaining) * size, backup.page_count * size)
                steps += 1
                if steps % SYNC == 0:
                    os.fdatasync(descriptor)
            pages = backup.page_count
        watch(pages * size, pages * size)
        return pages
    finally:
        copy.close()
        os.close(descriptor)


def _check(draft: str, source: str, rows: dict[str, int]) -> None:
    connection = apsw.Connection(draft, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        wrong = [cast(str, row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
        found = {} if wrong != ["ok"] else counts_of(connection)
    except apsw.Error as error:
        wrong, found = [str(error)], {}
    finally:
        connection.close()
    if wrong != ["ok"]:
        raise DamagedError(
            f"{source}: the copy of it is damaged, as the database itself will be: {wrong[0]}; see "
            "`holdfast verify`; nothing was kept of the copy"
        )
    if found != rows:
        raise StorageError(f"{source}: the copy has other rows than the database; try again")
