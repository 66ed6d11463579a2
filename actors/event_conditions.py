"""What a caller may ask for of events, and the filter that it makes.  Nothing is kept here."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.messages import query
from holdfast.errors import InvalidInputError
from holdfast.storage.cursors import Cursor
from holdfast.storage.records import EventFilter

__all__ = ["Conditions", "Selection", "Types", "filter_of", "position_of", "wanted_events"]

Types = tuple[str, ...] | list[str] | str


class Selection(TypedDict, total=False):
    """Keyword arguments that say which events a subscriber wants; all have to hold.

    ``types`` are alternatives, each a type or a glob (``tool:*``).
    """

    types: Types
    session: str | None
    source: str | None
    subject: str | None
    correlation: str | None


class Conditions(Selection, total=False):
    """Keyword arguments of every call that is about some of the events; all have to hold.

    ``since`` is included, ``until`` is not; ``after`` is a sequence number or a cursor, excluded.
    """

    since: int | datetime | None
    until: int | datetime | None
    after: int | str | None


def filter_of(
    types: Types = (),
    session: str | None = None,
    source: str | None = None,
    since: int | datetime | None = None,
    until: int | datetime | None = None,
    after: int | str | None = None,
    *,
    subject: str | None = None,
    correlation: str | None = None,
) -> EventFilter:
    """What a caller's arguments ask for; a cursor still has to be taken for a number."""
    return EventFilter(
        types=(types,) if isinstance(types, str) else tuple(types),
        session=session,
        source=source,
        since_us=_microseconds(since),
        until_us=_microseconds(until),
        after=after if isinstance(after, int) else None,
        subject=subject,
        correlation=correlation,
    )


def wanted_events(conditions: Conditions, timeout: float) -> Steps[EventFilter]:
    """The filter, once a cursor in it is found to be of this database.

    Raises InvalidInputError, CursorError.
    """
    after = yield from position_of(conditions.get("after"), timeout)
    wanted = msgspec.structs.replace(filter_of(**conditions), after=after)
    wanted.check()
    return wanted


def position_of(after: int | str | None, timeout: float) -> Steps[int | None]:
    """The number that a number or a cursor stands for.  Raises InvalidInputError, CursorError."""
    if after is None or (isinstance(after, int) and not isinstance(after, bool)):
        return after
    if not isinstance(after, str):
        raise InvalidInputError(f"after = {after!r}: expected the number of an event, or a cursor")
    cursor = Cursor.parse(after)
    reply = yield Ask("query", query.GetPosition(), timeout)
    cursor.check(reply.position)
    return cursor.seq


def _microseconds(moment: int | datetime | None) -> int | None:
    if isinstance(moment, datetime):
        return int(moment.timestamp()) * 1_000_000 + moment.microsecond
    return moment
