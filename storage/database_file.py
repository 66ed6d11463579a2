"""What the first hundred bytes of a database file say, read without SQLite, which may refuse them.

Nothing is opened for writing and nothing is kept.  It finds what is plainly wrong, in
microseconds, however large the file is; ``holdfast verify`` looks at all of it.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import Final

import msgspec
from loguru import logger

from holdfast.errors import DamagedError, SchemaError, StorageError

__all__ = [
    "APPLICATION_ID",
    "HEAD",
    "MOVING",
    "PAGE_SIZE",
    "PAGE_SIZES",
    "Head",
    "check_file",
    "read_head",
]

# "hfst": file(1) and holdfast tell by it whose database this is.
APPLICATION_ID: Final = 0x68667374
# Of new databases; those made earlier keep their 16 KiB.  A small change costs a third less than
# with 16, of which each index takes one; a large group of events a tenth more, with 4 a quarter.
PAGE_SIZE: Final = 8_192
PAGE_SIZES: Final = (8_192, 16_384)  # of all databases that holdfast has made
HEAD: Final = 100  # bytes; https://www.sqlite.org/fileformat.html#the_database_header
LEAST_PAGE: Final = 512  # bytes; of any database of SQLite's
# What a restore or a repair that was cut off has left beside the database.
MOVING: Final = ".moving"
MAGIC: Final = b"SQLite format 3\0"
_FIELDS: Final = struct.Struct(">16xH6B12I20x2I")
_SHOWN: Final = 60  # characters of what stands in a file that is none of ours
_WHAT_TO_DO: Final = (
    "stop using it; keep a copy, then `holdfast restore` a backup, or have "
    "`holdfast doctor --repair` save what can be read"
)


class Head(msgspec.Struct, frozen=True):
    """What is looked at of the head of a file."""

    page_size: int
    pages: int
    version: int
    application_id: int


def read_head(head: bytes) -> Head | None:
    """None when it is none of SQLite's."""
    if len(head) < HEAD or not head.startswith(MAGIC):
        return None
    page_size, *bytes_and_words = _FIELDS.unpack(head[:HEAD])
    words = bytes_and_words[6:]
    return Head(65_536 if page_size == 1 else page_size, words[1], words[9], words[11])


def check_file(path: str, *, newest: int | None = None, is_made: bool = False) -> None:
    """Raise when the file at ``path`` is there and no database of ours, or visibly damaged.

    ``newest`` is the highest schema version that is known, if that is.  ``is_made``: there
    was a database here, so that an empty file is one no more.

    Raises DamagedError, SchemaError, StorageError.
    """
    if os.path.exists(path + MOVING):
        raise DamagedError(
            f"{path}: a restore or a repair was cut off while it was moving files, as "
            f"{path}{MOVING} says: run it again; nothing is lost"
        )
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):
            what = "a directory" if stat.S_ISDIR(info.st_mode) else "no ordinary file"
            raise SchemaError(f"{path}: is {what}; give holdfast the path of a file of its own")
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        if is_made:
            logger.warning("{}: there was a database here and is none any more: a new one", path)
        return
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be read: {error.strerror}; uid {os.getuid()} has to be able to read "
            "and write it and its folder"
        ) from error
    if os.path.exists(f"{path}-journal"):
        return  # a first transaction that was cut off: SQLite takes it back
    if not head:
        _check_empty(path, is_made)
        return
    found = read_head(head)
    if found is None:
        raise _no_head(path, head, info.st_size)
    _check_head(path, found, newest, info.st_size)


def _check_empty(path: str, is_made: bool) -> None:
    """A start that was killed leaves an empty file, which is as good as none."""
    if is_made or _has_log(path):
        raise DamagedError(f"{path}: is empty, but there was a database here; {_WHAT_TO_DO}")


def _has_log(path: str) -> bool:
    """A reader leaves an empty one behind."""
    log = f"{path}-wal"
    return os.path.exists(log) and os.stat(log).st_size > 0


def _no_head(path: str, head: bytes, size: int) -> StorageError:
    if is_text(head):
        begins = head.decode(errors="replace")[:_SHOWN]
        return SchemaError(
            f"{path}: is no SQLite database but a text that begins {begins!r}; "
            "give holdfast a path of its own"
        )
    if size % PAGE_SIZE == 0 or APPLICATION_ID.to_bytes(4, "big") in head:
        return DamagedError(f"{path}: the head of the file is damaged; {_WHAT_TO_DO}")
    return SchemaError(
        f"{path}: is no SQLite database (its first bytes are {head[:8].hex(' ')}); give holdfast a "
        "path of its own, or, if it was one of holdfast's, `holdfast restore` a backup"
    )


def is_text(head: bytes) -> bool:
    """Whether people can read it."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if error.start >= len(head) - 3 else ""
    return bool(text) and all(c.isprintable() or c in "\t\r\n" for c in text)


def _check_head(path: str, found: Head, newest: int | None, size: int) -> None:
    if found.application_id != APPLICATION_ID:
        # An empty database of nobody's has one page without anything in it: SQLite looks.
        if found.application_id == 0 and found.version == 0:
            return
        raise SchemaError(
            f"{path}: an SQLite database of another program (application_id "
            f"{found.application_id}); give holdfast a path of its own"
        )
    if newest is not None and found.version > newest:
        raise SchemaError(
            f"{path}: schema version {found.version}, but this holdfast knows up to {newest}; "
            "start it with the newer holdfast that wrote it"
        )
    if found.page_size.bit_count() != 1 or found.page_size < LEAST_PAGE:
        raise DamagedError(
            f"{path}: the head of the file says pages of {found.page_size} bytes, which no "
            f"database has; {_WHAT_TO_DO}"
        )
    # What a log still holds may not be in the file yet; how long that is, SQLite finds out.
    if size < found.pages * found.page_size and not _has_log(path):
        raise DamagedError(
            f"{path}: is cut off: {size} bytes of {found.pages * found.page_size}; {_WHAT_TO_DO}"
        )
