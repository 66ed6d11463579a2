"""How long a session lives: idle time, maximum age, holds, jitter; and what is told of its end.

Functions of a session and the time; nothing is kept here.
"""

from __future__ import annotations

import zlib
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from holdfast.storage import jsontext
from holdfast.storage.records import Event
from holdfast.storage.session_records import Session, SessionUse

__all__ = [
    "ENDED",
    "EXPIRED",
    "Reason",
    "end_key",
    "end_of",
    "is_held",
    "let_go",
    "reason_of",
    "taken_in_use",
    "touched",
    "use_of",
]

Reason = Literal["idle", "age", "closed", "limit"]

EXPIRED: Final = "session:expired"  # its time is over: idle, age
ENDED: Final = "session:ended"  # somebody or something ended it before: closed, limit
SECOND: Final = 1_000_000

_decode_holders: Final = msgspec.json.Decoder(dict[str, int]).decode


def touched(session: Session, now_us: int, jitter: float) -> Session:
    """The session as used now."""
    return _dated(replace(session, touched_us=now_us), now_us, jitter)


def taken_in_use(
    session: Session, holder: str, until_us: int, now_us: int, jitter: float
) -> Session:
    """The session as ``holder`` has it in use until then."""
    holders = _holders(session) | {holder: until_us}
    return touched(_held_by(session, holders), now_us, jitter)


def let_go(session: Session, holder: str, now_us: int, jitter: float) -> Session:
    """The session as ``holder`` has done with it."""
    holders = _holders(session)
    holders.pop(holder, None)
    return touched(_held_by(session, holders), now_us, jitter)


def is_held(session: Session, now_us: int, holder: str | None = None) -> bool:
    """Whether somebody, or that one, has it in use."""
    holders = _holders(session)
    if holder is not None:
        return holders.get(holder, 0) > now_us
    return any(until > now_us for until in holders.values())


def reason_of(session: Session) -> Reason:
    """Why it ends when its time is over: what came first."""
    oldest = _oldest(session)
    return "age" if oldest is not None and session.expires_us >= oldest else "idle"


def end_of(session: Session, reason: Reason, now_us: int) -> Event:
    """What is told of the end.  Its key is the version that ended: it is stored once."""
    data = {
        "id": session.id,
        "version": session.version,
        "reason": reason,
        "owner": session.owner,
        "items": session.items,
        "created_us": session.created_us,
        "touched_us": session.touched_us,
    }
    return Event(
        time_us=now_us,
        type=EXPIRED if reason in ("idle", "age") else ENDED,
        source="sessions",
        session=session.id,
        key=end_key(session.version),
        data=jsontext.encode(data),
    )


def end_key(version: str) -> str:
    """The key of the event that tells of the end of the session that had this version last."""
    return f"ended:{version}"


def use_of(session: Session) -> SessionUse:
    """Everything but what a put changes."""
    return SessionUse(
        session.touched_us,
        session.expires_us,
        session.owner,
        session.holders,
        session.items,
        session.item_bytes,
        session.id,
        session.created_us,
    )


def _dated(session: Session, now_us: int, jitter: float) -> Session:
    """With the end that follows from its other fields."""
    end = session.touched_us + _idle_us(session, jitter)
    if session.holders != "{}":
        holders = {who: until for who, until in _holders(session).items() if until > now_us}
        session = _held_by(session, holders)
        end = max(end, *holders.values()) if holders else end
    oldest = _oldest(session)
    if oldest is not None:
        end = min(end, oldest)
    return replace(session, expires_us=end)


def _idle_us(session: Session, jitter: float) -> int:
    """Its time to live, shortened by up to ``jitter`` of it: always the same for one life.

    Sessions made at one moment by one program do not all end at one moment.
    """
    ttl = session.ttl * SECOND
    if not jitter:
        return round(ttl)
    draw = zlib.crc32(f"{session.id}\0{session.created_us}".encode()) / 2**32
    return round(ttl * (1 - jitter * draw))


def _oldest(session: Session) -> int | None:
    if session.max_age is None:
        return None
    return session.created_us + round(session.max_age * SECOND)


def _holders(session: Session) -> dict[str, int]:
    return {} if session.holders == "{}" else _decode_holders(session.holders)


def _held_by(session: Session, holders: dict[str, int]) -> Session:
    return replace(session, holders=msgspec.json.encode(holders).decode() if holders else "{}")
