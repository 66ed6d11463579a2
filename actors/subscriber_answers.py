"""What the query actor answers subscribers, and about them.  No state of its own."""

from __future__ import annotations

from holdfast.actors.messages.query import ListSubscribers, Page, ReadOn, SubscribersAre
from holdfast.actors.replies import bounded, fitting
from holdfast.storage.ports import Reader

__all__ = ["answer_subscribers"]


def answer_subscribers(
    reader: Reader | None, message: ReadOn | ListSubscribers
) -> Page | SubscribersAre:
    """``reader`` is None as long as there is no database; then there is nothing."""
    match message:
        case ReadOn(filter=wanted, limit=limit):
            if reader is None:
                return Page([], 1)
            oldest, events = reader.read_on(wanted, bounded(limit))
            sent = fitting(events)
            more = len(sent) < len(events) or bounded(limit) < limit
            return Page(sent, oldest, more, reader.position().epoch)
        case ListSubscribers():
            if reader is None:
                return SubscribersAre([], 0)
            return SubscribersAre(reader.subscribers(), reader.last_seq())
