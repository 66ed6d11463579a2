"""Large data of events into a table of its own, each text once.

Works within the caller's transaction.  What no event points at any more is deleted by a trigger,
in the transaction that deletes the last such event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec

from holdfast.storage.payloads import pack, reference
from holdfast.storage.records import RawEvent

__all__ = ["PayloadTable", "Taken"]

_KEEP: Final = "INSERT INTO payloads (ref, bytes, codec, body) VALUES (?, ?, ?, ?)"
_UTF8: Final = 4  # bytes that a character takes at most


class Taken(msgspec.Struct, frozen=True):
    """Data that is to be stored apart: its reference, and its JSON text as UTF-8."""

    ref: str
    text: bytes


class PayloadTable:
    """Texts of more than ``limit`` bytes; 0 stores every event's data in its row."""

    def __init__(self, connection: apsw.Connection, *, limit: int) -> None:
        self._connection = connection
        self.limit = limit

    def is_any_large(self, rows: Sequence[RawEvent]) -> bool:
        """Whether one of them may be; what is not text is not."""
        limit = self.limit // _UTF8
        return limit > 0 and any(len(row[-1]) > limit for row in rows)

    def taken_from(self, row: RawEvent) -> Taken | None:
        """The event's data, if it is large.

        Raises ConstraintError when it is no JSON, ValueError when it is no Unicode: the table of
        events, which asks for both, never sees it.
        """
        data = row[-1]
        if not self.limit or not isinstance(data, str) or len(data) * _UTF8 <= self.limit:
            return None
        text = data.encode()
        if len(text) <= self.limit:
            return None
        if not self._connection.execute("SELECT json_valid(?)", (data,)).get:
            raise apsw.ConstraintError("CHECK constraint failed: json_valid(data)")
        return Taken(reference(text), text)

    def keep(self, taken: Taken) -> None:
        """Store it unless it is there; an event of this transaction points at it."""
        ref, text = taken.ref, taken.text
        if self._connection.execute("SELECT 1 FROM payloads WHERE ref = ?", (ref,)).get is None:
            codec, body = pack(text)
            self._connection.execute(_KEEP, (ref, len(text), codec, body))
