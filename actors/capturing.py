"""What the writer is told about a log of changed rows, which a move of the database follows.

Owns nothing: the log is in the database, and is lost with what it is about.
"""

from __future__ import annotations

from holdfast.actors.delivery import Delivery
from holdfast.actors.messages.writer import (
    BeginCapture,
    Captured,
    CaptureIs,
    EndCapture,
    GetCapture,
)
from holdfast.errors import FencedError, StorageError, UnreachableError
from holdfast.storage.ports import Database

__all__ = ["capture"]


def capture(database: Database, delivery: Delivery) -> None:
    """Begin it or end it, from the next transaction on; or say what it is.

    What is in its way is the asker's to know: in PostgreSQL somebody's transaction may hold a
    table for hours.  Raises FencedError, UnreachableError.
    """
    try:
        delivery.set(_captured(database, delivery.message))
    except (FencedError, UnreachableError):
        raise
    except StorageError as error:
        delivery.set_exception((type(error), error, None))


def _captured(
    database: Database, message: BeginCapture | EndCapture | GetCapture
) -> Captured | CaptureIs:
    if isinstance(message, GetCapture):
        return CaptureIs(*database.capture())
    if isinstance(message, BeginCapture):
        database.begin_capture(message.swap)
    else:
        database.end_capture()
    return Captured()
