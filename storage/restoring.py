"""A copy in place of the database: what was there is moved aside, never deleted.

The new one is complete, checked and on the disk beside the old before anything is moved.  A note
(``<database>.moving``) says that the move is under way; while it is there no writer starts, so a
kill in the middle never leaves a log of the one beside the other.  Nothing else is kept here.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

import apsw
import msgspec

from holdfast.errors import StorageError
from holdfast.storage import timelines
from holdfast.storage.atomic_files import disk_errors, replace, sync_folder
from holdfast.storage.copying import Copy, Progress, copy_database, room_for
from holdfast.storage.database_file import MOVING
from holdfast.storage.sqlite_connection import open_reading, storage_error

__all__ = ["Restored", "aside_of", "highest_boot", "put_in_place", "restore_database"]

_BESIDE: Final = ("", "-wal", "-shm", "-journal", ".doubt")
_BOOT: Final = re.compile(r"(\d+)\.[\d.]+", re.ASCII)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was put in place.

    ``aside``: what the database is called now that was there, None where there was none.
    ``previous``: its epoch and last number, None where they cannot be read.
    """

    path: str
    aside: str | None
    copy: Copy
    epoch: int
    previous: tuple[int, int] | None
    boot: int  # no life of an actor with a lower number than this may begin


def restore_database(
    source: str, path: str, watch: Progress, *, before: Callable[[int], int]
) -> Restored:
    """Put a copy of ``source`` at ``path``; the caller has the locks of both.

    ``before`` gets the highest boot that names in the copy have, before the copy is in place: what
    starts afterwards has to count from there.

    Raises DamagedError, SchemaError, StorageError; then what is at ``path`` is as it was.
    """
    if os.path.exists(path) and os.path.samefile(source, path):
        raise StorageError(f"{source}: is the database itself; name a backup")
    previous, forks = _position_of(path)
    with room_for(path + ".restored", replace=True) as draft:
        copy = copy_database(source, draft, watch)
        epoch = timelines.next_epoch(copy.epoch, None if previous is None else previous[0])
        boot = before(_set_forward(draft, copy, forks, epoch))
        with disk_errors(draft):
            _sync(draft)
        aside = put_in_place(draft, path, "before-restore")
    return Restored(path=path, aside=aside, copy=copy, epoch=epoch, previous=previous, boot=boot)


def aside_of(path: str, why: str) -> str:
    """A free name that says when and why something was moved away from ``path``."""
    stem = f"{path}.{why}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    names = (stem, *(f"{stem}-{n}" for n in range(2, 1_000)))
    return next(name for name in names if not os.path.lexists(name))


def put_in_place(draft: str, path: str, why: str) -> str | None:
    """Move what is at ``path`` aside with its log, then the draft there; where the old one is."""
    note = path + MOVING
    aside = aside_of(path, why) if os.path.lexists(path) else None
    with disk_errors(path):
        replace_note(note, f"{draft} comes here, what was here is at {aside}\n")
        for suffix in _BESIDE:
            if os.path.lexists(path + suffix):
                if suffix == "-shm":  # an index of the log, which is made again
                    os.unlink(path + suffix)
                else:
                    os.rename(path + suffix, f"{aside or aside_of(path, why)}{suffix}")
        sync_folder(Path(path).parent)
        os.rename(draft, path)
        sync_folder(Path(path).parent)
        os.unlink(note)
        sync_folder(Path(path).parent)
    return aside


def replace_note(note: str, text: str) -> None:
    """Have the note on the disk."""
    replace(Path(note), text.encode())


def highest_boot(connection: apsw.Connection) -> int:
    """The highest boot that a name of a life in the database has.  Raises apsw.Error."""
    sql = """
    SELECT incarnation FROM senders UNION SELECT incarnation FROM checkpoint_threads
    UNION SELECT version FROM sessions UNION SELECT boot || '.0' FROM checkpoint_participants
    """
    found = (_BOOT.match(cast(str, text)) for (text,) in connection.execute(sql))
    return max((int(match[1]) for match in found if match is not None), default=0)


def _set_forward(draft: str, copy: Copy, forks: tuple[timelines.Fork, ...], epoch: int) -> int:
    """Let nothing that was read or sent before pass for what comes now; the boot it is beyond.

    One transaction of the copy, which nobody else has.
    """
    with _own(draft) as connection:
        execute = connection.execute
        own = timelines.decode_forks(execute("SELECT value FROM meta WHERE name = 'forks'").get)
        merged = timelines.joined(own, forks, timelines.Fork(epoch, copy.epoch, copy.last_seq))
        turn = execute("SELECT coalesce(max(turn), 0) FROM senders").get
        execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (epoch,))
        for name, value in (
            ("forks", timelines.encode_forks(merged)),
            ("restored_turn", turn),
        ):
            execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))
        if copy.version >= 6:  # of threads: whoever had one may have lost it since
            execute("UPDATE checkpoint_threads SET is_present = 0")
        return highest_boot(connection) if copy.version >= 6 else 0


@contextmanager
def _own(draft: str) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(draft, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except apsw.Error as error:
        raise storage_error(error, draft) from error
    finally:
        connection.close()


def _position_of(path: str) -> tuple[tuple[int, int] | None, tuple[timelines.Fork, ...]]:
    """Epoch and last number of a database, and its forks; None where they cannot be read."""
    from holdfast.storage.sqlite_events import LAST_SEQ

    with suppress(StorageError, apsw.Error, msgspec.DecodeError):
        connection = open_reading(path)
        try:
            (epoch, last_seq, forks) = cast(
                "tuple[int, int, str | None]",
                connection.execute(
                    f"SELECT (SELECT value FROM meta WHERE name = 'epoch'), ({LAST_SEQ}),"
                    " (SELECT value FROM meta WHERE name = 'forks')"
                ).fetchone(),
            )
        finally:
            connection.close()
        if isinstance(epoch, int) and isinstance(last_seq, int):
            return (epoch, last_seq), timelines.decode_forks(forks)
    return None, ()


def _sync(draft: str) -> None:
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
