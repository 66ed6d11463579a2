"""What the sessions actor answers from the database: lists, items, a part of a daemon checkpoint.

Asked when everything that was put before is committed.  No state of its own.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from holdfast.actors.messages import barrier, sessions
from holdfast.actors.replies import REPLY_BYTES, bounded
from holdfast.errors import InvalidInputError
from holdfast.storage.ports import Reader
from holdfast.storage.session_records import Session

__all__ = ["Part", "collected", "items", "listed", "reopened"]

PART: Final = 10_000  # sessions in a part of a daemon checkpoint, at the most


class Part(msgspec.Struct, frozen=True):
    """The sessions of a daemon checkpoint, and how many had no room in it."""

    sessions: list[Session]
    left_out: int


def listed(reader: Reader | None, wanted: sessions.List, now_us: int) -> sessions.SessionsAre:
    """Sessions in order of their ids, without their data."""
    limit = bounded(wanted.limit)
    if reader is None:
        return sessions.SessionsAre([])
    found = reader.list_sessions(now_us, wanted.after, wanted.prefix, wanted.owner, limit + 1)
    return sessions.SessionsAre([*found[:limit]], more=len(found) > limit)


def items(reader: Reader | None, wanted: sessions.GetItems) -> sessions.ItemsAre:
    """As many items as one reply holds; at least one."""
    limit = bounded(wanted.limit)
    if reader is None:
        return sessions.ItemsAre([])
    found = reader.session_items(wanted.id, wanted.after, limit + 1, wanted.reverse)
    size = 0
    for index, item in enumerate(found[:limit]):
        size += len(item.data.encode())
        if size > REPLY_BYTES and index:
            return sessions.ItemsAre(found[:index], more=True)
    return sessions.ItemsAre(found[:limit], more=len(found) > limit)


def collected(reader: Reader | None, now_us: int, mark: int) -> barrier.Collected:
    """The most recently used sessions that live, as many as one message holds."""
    kept: list[Session] = []
    size = alive = 0
    if reader is not None:
        for session in reader.sessions(PART):
            if session.expires_us <= now_us:
                continue
            alive += 1
            size += len(msgspec.json.encode(session))
            if size <= REPLY_BYTES:
                kept.append(session)
    stored = 0 if reader is None else reader.session_totals().count
    left_out = max(alive, stored if stored > PART else 0) - len(kept)
    state = msgspec.json.encode(Part(kept, left_out)).decode()
    return barrier.Collected(state, len(kept), mark)


def reopened(message: barrier.Restore) -> Part:
    """The sessions that a part holds.  Raises InvalidInputError."""
    try:
        part = msgspec.json.decode(message.state, type=Part)
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"state: no sessions of a checkpoint: {error}") from error
    # Its items were deleted with it; their numbers are not given again.
    return Part([replace(session, item_bytes=0) for session in part.sessions], part.left_out)
