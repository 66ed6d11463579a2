"""What is written into a database that a migration fills, or has left: whose turn it is.

A writer opens no database that is half filled, nor one that was left; the first writer of one that
is complete removes the label.  It is the row ``swap`` of ``meta``; SQLite's old file has none, it
is moved aside.
"""

from __future__ import annotations

from typing import Final, Literal, cast

import apsw
import msgspec

from holdfast.errors import StorageError

__all__ = [
    "CAPTURE",
    "LABEL",
    "STANDING",
    "Label",
    "decode",
    "encode",
    "require_whole",
    "settle_label",
]

LABEL: Final = "swap"  # in meta
CAPTURE: Final = "capture"  # in meta: the swap that the log is kept for
STANDING: Final = "swap_standing"  # in meta: how far it has come, of a target that is filled

State = Literal["filling", "complete", "old"]


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """``other``: where the data came from, or went to; ``at`` microseconds since 1970."""

    state: State
    swap: str
    other: str
    at: int


_decode: Final = msgspec.json.Decoder(Label).decode
_encode: Final = msgspec.json.Encoder().encode


def encode(label: Label) -> str:
    """For ``meta``."""
    return _encode(label).decode()


def decode(text: str | None) -> Label | None:
    """As ``meta`` has it.  Raises StorageError when nobody can tell what it says."""
    if text is None:
        return None
    try:
        return _decode(text)
    except msgspec.MsgspecError as error:
        raise StorageError(f"row {LABEL} of table meta cannot be read: {error}") from error


def settle_label(connection: apsw.Connection, path: str) -> None:
    """Within the first transaction of a writer.  Raises StorageError, apsw.Error."""
    sql = "SELECT value FROM meta WHERE name = ?"
    text = cast("str | None", connection.execute(sql, (LABEL,)).get)
    if text is not None:
        require_whole(text, path)
        connection.execute("DELETE FROM meta WHERE name IN (?, ?)", (LABEL, STANDING))


def require_whole(text: str | None, where: str) -> None:
    """Raise StorageError for a database that no writer may open."""
    label = decode(text)
    if label is None or label.state == "complete":
        return
    if label.state == "filling":
        raise StorageError(
            f"{where}: is half filled: swap {label.swap} was moving data from {label.other} to it "
            "and was given up; start with the database that it came from, and swap again"
        )
    raise StorageError(
        f"{where}: is old data: swap {label.swap} moved it to {label.other}; start with that, or "
        "delete it with `holdfast swap forget`"
    )
