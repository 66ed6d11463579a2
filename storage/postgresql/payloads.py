"""Large data of events into a table of its own, each text once.

Works within the caller's transaction.  What no event points at any more is deleted by a trigger,
in the transaction that deletes the last such event.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NoReturn

import msgspec

from holdfast.storage.payloads import pack, reference
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.records import RawEvent

__all__ = ["PayloadTable", "Taken"]

_KEEP: Final = """
INSERT INTO payloads (daemon, ref, bytes, codec, body) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_UTF8: Final = 4  # bytes that a character takes at most


class Taken(msgspec.Struct, frozen=True):
    """Data that is to be stored apart: its reference, and its JSON text as UTF-8."""

    ref: str
    text: bytes


class PayloadTable:
    """Texts of more than ``limit`` bytes; 0 stores every event's data in its row."""

    def __init__(self, connection: Connection, daemon: str, *, limit: int) -> None:
        self._connection = connection
        self._daemon = daemon
        self.limit = limit

    def is_any_large(self, rows: Sequence[RawEvent]) -> bool:
        """Whether one of them may be; what is not text is not."""
        limit = self.limit // _UTF8
        return limit > 0 and any(len(row[-1]) > limit for row in rows)

    def taken_from(self, row: RawEvent) -> Taken | None:
        """The event's data, if it is large.

        Raises ValueError when it is no JSON or no Unicode: the table of events, which asks for
        both, never sees it.
        """
        data = row[-1]
        if not self.limit or not isinstance(data, str) or len(data) * _UTF8 <= self.limit:
            return None
        text = data.encode()
        if len(text) <= self.limit:
            return None
        _check_json(data)
        return Taken(reference(text), text)

    def keep(self, taken: Taken) -> None:
        """Store it unless it is there; an event of this transaction points at it."""
        known = "SELECT 1 FROM payloads WHERE daemon = %s AND ref = %s"
        if self._connection.value(known, (self._daemon, taken.ref)) is None:
            codec, body = pack(taken.text)
            values = (self._daemon, taken.ref, len(taken.text), codec, body)
            self._connection.run(_KEEP, values)


def _check_json(text: str) -> None:
    """Here, because a refusal by the server spoils the transaction.  Raises ValueError."""
    try:
        json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
