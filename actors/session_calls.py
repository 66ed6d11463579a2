"""The calls about sessions: what they send, how the replies read.  Nothing is kept here."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.actors.calls import Ask, Command, Level, Now, Steps
from holdfast.actors.messages import sessions, writer
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext, session_records

__all__ = ["Session", "delete_session", "get_session", "put_session", "touch_session"]


class Session(msgspec.Struct, frozen=True):
    """A session that lives; ``data`` is decoded, times are microseconds since 1970."""

    id: str
    data: Any
    version: str
    created_us: int
    touched_us: int
    expires_us: int
    ttl: float
    max_age: float | None


def put_session(
    id: str,
    data: object,
    *,
    ttl: float | None = None,
    max_age: float | None = None,
    expected_version: str | None = None,
    durability: Level = "memory",
    timeout: float = 30.0,
) -> Steps[str]:
    """Create or replace a session; its new version.

    ``ttl`` seconds after the last put or touch it expires, at the latest ``max_age`` seconds
    after it was created.  ``expected_version=""`` means that there must be none.  Raises
    Conflict when another version is there.  Written behind within a second, unless
    ``durability`` says to wait: "committed" for COMMIT, "disk" for the fsync after it.  If that
    fails or takes too long, DiskFullError or AskTimeout says so, of a put that is committed.
    """
    if durability not in ("memory", "committed", "disk"):
        text = f"durability = {durability!r}: expected memory, committed or disk"
        raise InvalidInputError(text)
    level: sessions.Durability = "memory" if durability == "memory" else "committed"
    put = sessions.Put(id, jsontext.encode(data), ttl, max_age, expected_version, level)
    if level == "memory":
        # Asked again after a crash it could meet its own version and report a conflict.
        reply = yield Ask("sessions", put, timeout, idempotent=expected_version is None)
    else:
        began = yield Now()
        reply = yield Command("sessions", put, timeout)
        if durability == "disk":
            spent = (yield Now()) - began
            yield Ask("writer", writer.Sync(), max(0.0, timeout - spent))
    version: str = reply.version
    return version


def get_session(id: str, *, timeout: float = 30.0) -> Steps[Session | None]:
    """The session, or None when there is none or its time is over."""
    reply = yield Ask("sessions", sessions.Get(id), timeout)
    return _readable(reply.session)


def touch_session(id: str, *, timeout: float = 30.0) -> Steps[Session | None]:
    """Start its time to live anew; None when there is none that lives."""
    reply = yield Ask("sessions", sessions.Touch(id), timeout)
    return _readable(reply.session)


def delete_session(id: str, *, timeout: float = 30.0) -> Steps[bool]:
    """End it, committed; whether it lived."""
    reply = yield Command("sessions", sessions.Delete(id), timeout)
    existed: bool = reply.existed
    return existed


def _readable(session: session_records.Session | None) -> Session | None:
    if session is None:
        return None
    return Session(
        session.id,
        jsontext.decode(session.data),
        session.version,
        session.created_us,
        session.touched_us,
        session.expires_us,
        session.ttl,
        session.max_age,
    )
