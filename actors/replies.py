"""How much goes into one reply: the bounds that every actor which reads for others keeps."""

from __future__ import annotations

from typing import Final

from holdfast.errors import InvalidInputError
from holdfast.storage.records import StoredEvent

__all__ = ["MAX_LIMIT", "REPLY_BYTES", "bounded", "fitting"]

REPLY_BYTES: Final = 4 * 1024 * 1024  # of event data in one reply: half the bound on a frame
MAX_LIMIT: Final = 10_000  # rows read for one reply, so that others are not kept waiting


def bounded(limit: int) -> int:
    """How many rows to read for a question that asks for ``limit``.  Raises InvalidInputError."""
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    return min(limit, MAX_LIMIT)


def fitting(events: list[StoredEvent]) -> list[StoredEvent]:
    """As many of the first events as one reply holds; at least one."""
    size = 0
    for index, event in enumerate(events):
        size += 4 * len(event.data)  # a character is at most four bytes
        if size > REPLY_BYTES and index:
            return events[:index]
    return events
