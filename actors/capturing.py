"""What the writer is told about a log of changed rows, which a move of the database follows.

Owns nothing: the log is in the database, and is lost with what it is about.
"""

from __future__ import annotations

from holdfast.actors.messages.writer import (
    BeginCapture,
    Captured,
    CaptureIs,
    EndCapture,
    GetCapture,
)
from holdfast.storage.ports import Database

__all__ = ["capture"]


def capture(
    database: Database, message: BeginCapture | EndCapture | GetCapture
) -> Captured | CaptureIs:
    """Begin it or end it, from the next transaction on; or say what it is.  Raises StorageError."""
    if isinstance(message, GetCapture):
        return CaptureIs(*database.capture())
    if isinstance(message, BeginCapture):
        database.begin_capture(message.swap)
    else:
        database.end_capture()
    return Captured()
