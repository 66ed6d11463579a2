"""How much goes into one reply: the bound that every actor which returns events keeps."""

from __future__ import annotations

from typing import Final

from holdfast.storage.records import StoredEvent

__all__ = ["REPLY_BYTES", "fitting"]

REPLY_BYTES: Final = 4 * 1024 * 1024  # of event data in one reply: half the bound on a frame


def fitting(events: list[StoredEvent]) -> list[StoredEvent]:
    """As many of the first events as one reply holds; at least one."""
    size = 0
    for index, event in enumerate(events):
        size += 4 * len(event.data)  # a character is at most four bytes
        if size > REPLY_BYTES and index:
            return events[:index]
    return events
