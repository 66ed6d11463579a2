"""The calls about sessions: what they send, how the replies read.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from holdfast.actors.calls import Ask, Command, Level, Now, Steps
from holdfast.actors.event_calls import Event, query_events
from holdfast.actors.messages import sessions, writer
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext, session_records
from holdfast.storage.session_records import StoredItem

__all__ = [
    "ENDS",
    "Ended",
    "Item",
    "Session",
    "SessionPage",
    "append_item",
    "claim_session",
    "delete_session",
    "ended_sessions",
    "get_many_sessions",
    "get_session",
    "list_sessions",
    "put_many_sessions",
    "put_session",
    "read_items",
    "release_session",
    "search_sessions",
    "sessions_stats",
    "touch_session",
]

ENDS: Final = ("session:expired", "session:ended")  # the types of the events that tell of ends
IDS: Final = 1_000  # sessions asked for, or put, at a time
PUT_BYTES: Final = 1024 * 1024  # of data in one message, nearly


class Session(msgspec.Struct, frozen=True):
    """A session that lives; ``data`` is decoded, times are microseconds since 1970.

    ``items`` is the number of its newest item.  In a list, ``data`` is None.
    """

    id: str
    data: Any
    version: str
    created_us: int
    touched_us: int
    expires_us: int
    ttl: float
    max_age: float | None
    owner: str | None = None
    items: int = 0


class SessionPage(msgspec.Struct, frozen=True):
    """Some of the sessions; ``cursor`` is where the next page begins, None behind the last."""

    sessions: list[Session]
    cursor: str | None

    def __iter__(self) -> Iterator[Session]:
        return iter(self.sessions)

    def __len__(self) -> int:
        return len(self.sessions)


class Item(msgspec.Struct, frozen=True):
    """An item of a session; ``data`` is decoded."""

    number: int
    time_us: int
    key: str | None
    data: Any


class Ended(msgspec.Struct, frozen=True):
    """The end of a session: ``reason`` is idle, age, closed or limit.

    ``seq`` is the number of the event that tells of it: where the next look goes on.
    """

    seq: int
    time_us: int
    id: str
    version: str
    reason: str
    owner: str | None
    items: int


def put_session(
    id: str,
    data: object,
    *,
    ttl: float | None = None,
    max_age: float | None = None,
    expected_version: str | None = None,
    durability: Level = "memory",
    owner: str | None = None,
    timeout: float = 30.0,
) -> Steps[str]:
    """Create or replace a session; its new version.

    ``ttl`` seconds after the last put or touch it expires, at the latest ``max_age`` seconds
    after it was created.  ``expected_version=""`` means that there must be none.  Raises
    Conflict when another version is there, OwnedError when somebody else than ``owner`` owns it;
    what nobody owns, ``owner`` does from then on.  Written behind within a second, unless
    ``durability`` says to wait: "committed" for COMMIT, "disk" for the fsync after it.  If that
    fails or takes too long, DiskFullError or AskTimeout says so, of a put that is committed.
    """
    level = _level(durability)
    put = sessions.Put(id, jsontext.encode(data), ttl, max_age, expected_version, level, owner)
    # Asked again after a crash it could meet its own version and report a conflict.
    is_idempotent = expected_version is None
    reply = yield from _change(put, durability, timeout, is_idempotent=is_idempotent)
    version: str = reply.version
    return version


def put_many_sessions(
    sessions_by_id: Mapping[str, object],
    *,
    ttl: float | None = None,
    max_age: float | None = None,
    durability: Level = "memory",
    timeout: float = 30.0,
) -> Steps[dict[str, str]]:
    """Create or replace sessions; their new versions.

    A thousand at a time, or a megabyte: each of these is carried out as a whole or not at all.
    """
    level = _level(durability)
    puts = [
        sessions.Put(id, jsontext.encode(data), ttl, max_age, None, level)
        for id, data in sessions_by_id.items()
    ]
    versions: dict[str, str] = {}
    for some in _portions(puts):
        message = sessions.PutMany(some)
        reply = yield from _change(message, durability, timeout, is_idempotent=True)
        versions |= dict(zip([put.id for put in some], reply.versions, strict=True))
    return versions


def get_session(id: str, *, timeout: float = 30.0) -> Steps[Session | None]:
    """The session, or None when there is none or its time is over."""
    reply = yield Ask("sessions", sessions.Get(id), timeout)
    return readable(reply.session)


def get_many_sessions(ids: Iterable[str], *, timeout: float = 30.0) -> Steps[dict[str, Session]]:
    """Those of the sessions that live, by id: a hundred times cheaper than one by one."""
    waiting = list(dict.fromkeys(ids))
    found: dict[str, Session] = {}
    while waiting:
        asked = waiting[:IDS]
        reply = yield Ask("sessions", sessions.GetMany(asked), timeout)
        answered = reply.sessions
        found |= {session.id: _readable(session) for session in answered if session is not None}
        waiting = waiting[len(answered) :]
    return found


def touch_session(id: str, *, timeout: float = 30.0) -> Steps[Session | None]:
    """Start its time to live anew; None when there is none that lives."""
    reply = yield Ask("sessions", sessions.Touch(id), timeout)
    return readable(reply.session)


def delete_session(id: str, *, owner: str | None = None, timeout: float = 30.0) -> Steps[bool]:
    """End it with the reason "closed", items included, committed; whether it lived.

    Raises OwnedError when somebody else than ``owner`` owns it.
    """
    reply = yield Command("sessions", sessions.Delete(id, owner), timeout)
    existed: bool = reply.existed
    return existed


def append_item(
    id: str,
    item: object,
    *,
    key: str | None = None,
    owner: str | None = None,
    durability: Level = "committed",
    timeout: float = 30.0,
) -> Steps[int]:
    """Add an item, a turn of a conversation say, and touch the session; the item's number.

    The session's data is not written again, however large.  Exactly once; with a ``key``, which
    is unique in the session, also when another process repeats it: the number is that of the
    first then.  Raises NoSessionError, OwnedError.  With durability "memory" it is written
    behind, and ActorDied says that it may not have been added.
    """
    level = _level(durability)
    message = sessions.Append(id, jsontext.encode(item), key, owner, level)
    reply = yield from _change(message, durability, timeout, is_idempotent=key is not None)
    number: int = reply.number
    return number


def read_items(
    id: str,
    *,
    after: int = 0,
    limit: int = 100,
    reverse: bool = False,
    timeout: float = 30.0,
) -> Steps[list[Item]]:
    """The first ``limit`` items with numbers above ``after``; or the newest, newest first.

    What was appended before is committed first, so that a number that was seen is never given
    again.  Numbers rise, and may skip some.  Empty when there is no such session.
    """
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    found: list[Item] = []
    while len(found) < limit:
        wanted = sessions.GetItems(id, after, limit - len(found), reverse)
        reply = yield Ask("sessions", wanted, timeout)
        found += [_readable_item(item) for item in reply.items]
        if not reply.more or reverse:
            break
        after = found[-1].number
    return found


def claim_session(
    id: str, owner: str, *, steal: bool = False, timeout: float = 30.0
) -> Steps[None]:
    """Make ``owner`` the owner, committed: only who acts in that name may change the session.

    It stays so until it is released or the session ends, whatever becomes of its process.
    Raises OwnedError when somebody else owns it, unless to ``steal`` it; NoSessionError.
    """
    yield Ask("sessions", sessions.Claim(id, owner, steal), timeout)


def release_session(id: str, owner: str, *, timeout: float = 30.0) -> Steps[None]:
    """Let go of it, committed.  Raises OwnedError, NoSessionError."""
    yield Ask("sessions", sessions.Release(id, owner), timeout)


def list_sessions(
    *,
    limit: int = 100,
    cursor: str | None = None,
    owner: str | None = None,
    timeout: float = 30.0,
) -> Steps[SessionPage]:
    """Sessions that live, without their data, in order of their ids; a page of them.

    Go on with the page's ``cursor``.  What was put before is committed first.
    """
    return (yield from _page("", limit, cursor, owner, timeout))


def search_sessions(
    prefix: str,
    *,
    limit: int = 100,
    cursor: str | None = None,
    owner: str | None = None,
    timeout: float = 30.0,
) -> Steps[SessionPage]:
    """As ``list``, of those whose id begins with ``prefix``."""
    return (yield from _page(prefix, limit, cursor, owner, timeout))


def sessions_stats(*, timeout: float = 30.0) -> Steps[sessions.SessionsStats]:
    """How the memory is, and what stands in front of the database."""
    stats: sessions.SessionsStats = yield Ask("sessions", sessions.Stats(), timeout)
    return stats


def ended_sessions(
    *, after: int | None = None, limit: int = 100, wait: float = 0.0, timeout: float = 30.0
) -> Steps[list[Ended]]:
    """The ends of sessions after the event number ``after``, in order: each told once.

    When there are none, waits up to ``wait`` seconds for one: an end is heard of a moment after
    it is committed.  They are events as others are, of the types in ``ENDS``: follow them, or
    subscribe to them.
    """
    found = yield from query_events(
        types=ENDS, source="sessions", after=after or 0, limit=limit, wait=wait, timeout=timeout
    )
    return [ended(event) for event in found]


def ended(event: Event) -> Ended:
    """What an event of the types in ``ENDS`` tells."""
    data = event.data
    told = (data["version"], data["reason"], data["owner"], data["items"])
    return Ended(event.seq, event.time_us, data["id"], *told)


def readable(session: session_records.Session | None) -> Session | None:
    """The session with its data decoded, if there is one."""
    return None if session is None else _readable(session)


def _readable(session: session_records.Session) -> Session:
    return Session(
        session.id,
        jsontext.decode(session.data),
        session.version,
        session.created_us,
        session.touched_us,
        session.expires_us,
        session.ttl,
        session.max_age,
        session.owner,
        session.items,
    )


def _readable_item(item: StoredItem) -> Item:
    return Item(item.number, item.time_us, item.key, jsontext.decode(item.data))


def _page(
    prefix: str, limit: int, cursor: str | None, owner: str | None, timeout: float
) -> Steps[SessionPage]:
    wanted = sessions.List(cursor or "", prefix, owner, limit)
    reply = yield Ask("sessions", wanted, timeout)
    found = [_outlined(session) for session in reply.sessions if session is not None]
    return SessionPage(found, found[-1].id if reply.more and found else None)


def _outlined(session: session_records.Session) -> Session:
    return _readable(msgspec.structs.replace(session, data="null"))


def _change(
    message: object, durability: Level, timeout: float, *, is_idempotent: bool
) -> Steps[Any]:
    """Have it carried out, at the durability asked for; the reply."""
    if durability == "memory":
        return (yield Ask("sessions", message, timeout, idempotent=is_idempotent))
    began = yield Now()
    reply = yield Command("sessions", message, timeout)
    if durability == "disk":
        spent = (yield Now()) - began
        yield Ask("writer", writer.Sync(), max(0.0, timeout - spent))
    return reply


def _level(durability: Level) -> sessions.Durability:
    if durability not in ("memory", "committed", "disk"):
        text = f"durability = {durability!r}: expected memory, committed or disk"
        raise InvalidInputError(text)
    return "memory" if durability == "memory" else "committed"


def _portions(puts: list[sessions.Put]) -> Iterator[list[sessions.Put]]:
    """As many at a time as one message should carry."""
    some: list[sessions.Put] = []
    size = 0
    for put in puts:
        some.append(put)
        size += 4 * len(put.data)  # a character is at most four bytes
        if len(some) == IDS or size > PUT_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
