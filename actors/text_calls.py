"""The call that searches the data of events for text.  Nothing is kept here."""

from __future__ import annotations

from typing import Final, Unpack

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.event_conditions import Conditions, wanted_events
from holdfast.actors.messages import query
from holdfast.actors.opened_events import opened_events
from holdfast.actors.readable_events import Event
from holdfast.errors import InvalidInputError

__all__ = ["search_events"]

PAGE: Final = 500  # events asked for at a time


def search_events(
    text: str,
    *,
    limit: int = 100,
    reverse: bool = True,
    partial: bool = False,
    payloads: bool = True,
    timeout: float = 30.0,
    **conditions: Unpack[Conditions],
) -> Steps[list[Event]]:
    """The newest events with ``text`` in their data that match, the newest first.

    ``text`` is a search as SQLite's FTS5 reads it: words, ``"phrases"``, ``prefix*``, AND, OR,
    NOT.  Needs ``[storage] full_text``; while older events are not indexed yet it is refused,
    unless ``partial``.  With ``reverse`` false the oldest come first.  The conditions, and
    ``payloads``, are those of ``query``.
    """
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    wanted = yield from wanted_events(conditions, timeout)
    found: list[Event] = []
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        reply = yield Ask("query", query.SearchText(text, wanted, size, reverse, partial), timeout)
        found += yield from opened_events(reply.events, reply.epoch, payloads, timeout)
        if not reply.more:
            break
        last = reply.events[-1].seq
        edge = {"before": last} if reverse else {"after": last}
        wanted = msgspec.structs.replace(wanted, **edge)
    return found
