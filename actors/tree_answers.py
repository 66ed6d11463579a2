"""What the query actor answers about causes, effects and counts of events.  No state of its own."""

from __future__ import annotations

from holdfast.actors.messages.query import (
    CountGroups,
    FindAround,
    FindBelow,
    Found,
    GetChain,
    GroupsAre,
)
from holdfast.actors.replies import bounded, fitting
from holdfast.errors import InvalidInputError
from holdfast.storage.ports import Reader
from holdfast.storage.records import StoredEvent

__all__ = ["MAX_ROOTS", "answer_about_trees"]

MAX_ROOTS = 1_000  # asked about at once


def answer_about_trees(
    reader: Reader | None, message: GetChain | FindAround | FindBelow | CountGroups
) -> Found | GroupsAre:
    """``reader`` is None as long as there is no database; then there is nothing."""
    if isinstance(message, CountGroups):
        if reader is None:
            return GroupsAre([])
        return GroupsAre(reader.grouped(message.filter, message.by, message.bucket_us))
    limit = bounded(message.limit)
    if reader is None:
        return Found([])
    events = _events(reader, message, limit)
    sent = fitting(events)
    return Found(sent, len(sent) < len(events) or len(events) == limit, reader.position().epoch)


def _events(
    reader: Reader, message: GetChain | FindAround | FindBelow, limit: int
) -> list[StoredEvent]:
    match message:
        case GetChain(start=start):
            return reader.causes(start, limit)
        case FindAround(name=name, after=after):
            return reader.around(name, after, limit)
        case FindBelow(roots=roots, after=after):
            if len(roots) > MAX_ROOTS:
                raise InvalidInputError(f"{len(roots)} roots: at most {MAX_ROOTS} at once")
            return reader.below(roots, after, limit)
