"""What an earlier life of the sessions actor left in front, and whether the database has it.

That life may have died when the writer had committed something and the front was not told: what is
older than the database, or has ended there, is nothing.  A plain data structure.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from loguru import logger
from msgspec.structs import replace

from holdfast.actors.session_lifetimes import ENDED, EXPIRED, end_key
from holdfast.actors.unwritten import Unwritten, utf8_size
from holdfast.errors import DamagedError
from holdfast.storage.filters import EventFilter
from holdfast.storage.ports import Reader
from holdfast.storage.session_ports import Left
from holdfast.storage.session_records import Session, SessionItem

__all__ = ["Found", "Remains"]

ENDS = 100  # of one id, the newest, that are looked at


class Found(msgspec.Struct, frozen=True):
    """A session that is to be written, with items that are; ``before`` is to be ended for it."""

    session: Session
    with_data: bool
    items: list[SessionItem]
    before: Session | None = None


class Remains:
    """False when there is nothing, as is the rule."""

    def __init__(self, left: Left | None = None) -> None:
        left = left or Left()
        self._sessions = {session.id: session for session in left.sessions}
        self._items: dict[str, list[SessionItem]] = {}
        for item in sorted(left.items, key=lambda item: item.number):
            self._items.setdefault(item.session, []).append(item)

    def __bool__(self) -> bool:
        return bool(self._sessions or self._items)

    def newest(self, id: str, stored: Session | None, reader: Reader) -> Session | None:
        """The session as it is: ``stored``, or what was left of it."""
        left = self._sessions.get(id)
        return left if left is not None and _is_newer(left, stored, reader) else stored

    def found(self, reader: Reader, unwritten: Unwritten) -> Iterator[Found]:
        """All that is to be written; what is on its way already is the newest.

        Raises StorageError: nobody can say.
        """
        for id in dict.fromkeys((*self._sessions, *self._items)):
            left = self._sessions.get(id)
            if id in unwritten:
                newest = before = unwritten.get(id)
                # Of a version, the data is what it is, whatever has been done since.
                is_left = left is not None and newest is not None and left.version == newest.version
            else:
                try:
                    before = reader.session(id)
                    newest = self.newest(id, before, reader)
                except DamagedError as error:
                    logger.error("{!r} was left in front, and cannot be compared: {}", id, error)
                    continue
                is_left = newest is not before
            if newest is None:
                continue
            items = [
                item for item in self._items.get(id, []) if item.created_us == newest.created_us
            ]
            if before is not None and before.created_us != newest.created_us:
                yield Found(newest, True, items, before=before)
            elif is_left or items:
                yield Found(_counting(newest, items), is_left, items)


def _counting(session: Session, items: list[SessionItem]) -> Session:
    """With the numbers of its items taken, or the next ones would be given twice."""
    new = [item for item in items if item.number > session.items]
    if not new:
        return session
    size = session.item_bytes + sum(utf8_size(item.data) for item in new)
    return replace(session, items=new[-1].number, item_bytes=size)


def _is_newer(left: Session, stored: Session | None, reader: Reader) -> bool:
    if stored is None:
        return not _has_ended(left, reader)
    # Every put takes a new version; what else changes a session moves the time of its use.
    return (_order(left.version), left.touched_us) > (_order(stored.version), stored.touched_us)


def _order(version: str) -> tuple[int, ...]:
    """Versions in the order in which they were given: boot, starts, number."""
    parts = version.replace("-", ".").split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _has_ended(session: Session, reader: Reader) -> bool:
    """Whether its end is told: with that it was deleted."""
    ends = EventFilter(types=(EXPIRED, ENDED), session=session.id, source="sessions")
    key = end_key(session.version)
    return any(event.key == key for event in reader.events(ends, ENDS, reverse=True))
