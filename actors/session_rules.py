"""What a request makes of a session: versions, owners, holds, items.

Decides and keeps nothing but the count of versions: the sessions actor carries it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, assert_never

import msgspec
from msgspec.structs import replace

from holdfast.actors import session_lifetimes
from holdfast.actors.messages import sessions
from holdfast.actors.session_cache import SteadyClock
from holdfast.actors.unwritten import utf8_size
from holdfast.errors import Conflict, InvalidInputError, NoSessionError, OwnedError
from holdfast.storage import jsontext
from holdfast.storage.records import Event
from holdfast.storage.session_records import Session, SessionItem

__all__ = ["MAX_ID", "Decision", "SessionRules", "check_id"]

MAX_ID: Final = 1_024  # characters, of ids and of whoever owns or holds
MAX_BYTES: Final = 2 * 1024 * 1024  # of data and of an item: with what waits it fits in a frame
MAX_PUTS: Final = 1_000  # sessions in one transaction
MAX_PUT_BYTES: Final = 4 * 1024 * 1024
MAX_LEASE: Final = 86_400.0  # seconds that a hold may take without a sign of life


class Decision(msgspec.Struct, frozen=True):
    """What the session becomes, and what its sender hears.

    ``is_forced``: after COMMIT.  ``with_data``: more than its use has changed.
    """

    id: str
    after: Session | None
    answer: sessions.Reply
    is_forced: bool = False
    with_data: bool = False
    is_changed: bool = True
    items: list[SessionItem] = []
    events: list[Event] = []


class SessionRules:
    """``ttl`` seconds where a put names none, shortened by up to ``jitter`` of it."""

    def __init__(self, *, ttl: float, jitter: float, incarnation: str, now_us: SteadyClock) -> None:
        self.ttl = ttl
        self.jitter = jitter
        self._incarnation = incarnation  # in every version: none is given twice, ever
        self._versions = 0
        self._created_us = 0  # of the newest session: no two are of one microsecond
        self._now_us = now_us

    def decide(self, message: sessions.Change, before: Session | None) -> Decision:
        """Raises Conflict, OwnedError, NoSessionError, InvalidInputError; then nothing changes.

        ``before`` is the session as it lives, or None.
        """
        match message:
            case sessions.Put():
                return self._put(message, before)
            case sessions.Touch():
                return self._touch(message, before)
            case sessions.Delete():
                return self._delete(message, before)
            case sessions.Append():
                return self._append(message, before)
            case sessions.Claim() | sessions.Release():
                return self._own(message, before)
            case sessions.Hold() | sessions.Unhold():
                return self._hold(message, before)
            case _:
                assert_never(message)

    def decide_all(
        self, message: sessions.PutMany, live: Callable[[str], Session | None]
    ) -> tuple[list[Decision], sessions.VersionsAre]:
        """One decision for each put, in order; none, when one of them is refused."""
        size = sum(utf8_size(put.data) for put in message.puts)
        if not 0 < len(message.puts) <= MAX_PUTS or size > MAX_PUT_BYTES:
            raise InvalidInputError(
                f"puts: {len(message.puts)} of {size} bytes; expected 1 to {MAX_PUTS} of at most "
                f"{MAX_PUT_BYTES}"
            )
        decided: dict[str, Decision] = {}
        versions = []
        for put in message.puts:
            known = decided.get(check_id(put.id))
            decision = self._put(put, live(put.id) if known is None else known.after)
            decided[put.id] = decision
            versions.append(decision.after.version if decision.after else "")
        return [*decided.values()], sessions.VersionsAre(versions)

    def _put(self, put: sessions.Put, before: Session | None) -> Decision:
        _check_seconds("ttl", put.ttl)
        _check_seconds("max_age", put.max_age)
        if put.owner is not None:
            check_id(put.owner, "owner")
        _check_data("data", put.data)
        if put.ticket and before is not None:
            return Decision(put.id, before, sessions.Versioned(before.version), is_changed=False)
        current = "" if before is None else before.version
        if put.expected_version is not None and put.expected_version != current:
            raise Conflict(
                f"session {put.id!r}", expected=put.expected_version, current=current or None
            )
        _check_owner(before, put.owner)
        self._versions += 1
        changes = {
            "data": put.data,
            "version": f"{self._incarnation}-{self._versions}",
            "ttl": self.ttl if put.ttl is None else put.ttl,
            "max_age": put.max_age,
        }
        if put.owner is not None:
            changes["owner"] = put.owner
        session = replace(before or self._new(put.id), **changes)
        session = self._touched(session)
        is_forced = put.durability == "committed"
        answer = sessions.Versioned(session.version)
        return Decision(put.id, session, answer, is_forced=is_forced, with_data=True)

    def revived(self, session: Session) -> Session:
        """A session of a checkpoint, put back: a life of its own, with the time it had left."""
        self._versions += 1
        return replace(session, version=f"{self._incarnation}-{self._versions}")

    def _new(self, id: str) -> Session:
        self._created_us = max(self._now_us(), self._created_us + 1)
        at = self._created_us
        return Session(id, "", "", at, at, at, self.ttl)

    def _touched(self, session: Session) -> Session:
        return session_lifetimes.touched(session, self._now_us(), self.jitter)

    def _touch(self, message: sessions.Touch, before: Session | None) -> Decision:
        if before is None:
            return Decision(message.id, None, sessions.SessionIs(None), is_changed=False)
        after = self._touched(before)
        return Decision(message.id, after, sessions.SessionIs(after))

    def _delete(self, message: sessions.Delete, before: Session | None) -> Decision:
        _check_owner(before, message.owner)
        if before is None:
            answer = sessions.Deleted(False)
            return Decision(message.id, None, answer, is_forced=True, is_changed=False)
        told = session_lifetimes.end_of(before, "closed", self._now_us())
        return Decision(message.id, None, sessions.Deleted(True), is_forced=True, events=[told])

    def _append(self, message: sessions.Append, before: Session | None) -> Decision:
        _check_data("item", message.item)
        if message.key is not None:
            check_id(message.key, "key")
        if before is None:
            raise NoSessionError(message.id)
        _check_owner(before, message.owner)
        number, now = before.items + 1, self._now_us()
        size = before.item_bytes + utf8_size(message.item)
        after = self._touched(replace(before, items=number, item_bytes=size))
        item = SessionItem(number, now, message.key, message.item, before.id, before.created_us)
        is_forced = message.durability == "committed"
        answer = sessions.Appended(number)
        return Decision(message.id, after, answer, is_forced=is_forced, items=[item])

    def _own(self, message: sessions.Claim | sessions.Release, before: Session | None) -> Decision:
        check_id(message.owner, "owner")
        if before is None:
            raise NoSessionError(message.id)
        if isinstance(message, sessions.Release):
            _check_owner(before, message.owner)
            owner = None
        else:
            if not message.steal:
                _check_owner(before, message.owner)
            owner = message.owner
        after = self._touched(replace(before, owner=owner))
        return Decision(message.id, after, sessions.Claimed(owner), is_forced=True)

    def _hold(self, message: sessions.Hold | sessions.Unhold, before: Session | None) -> Decision:
        check_id(message.holder, "holder")
        now = self._now_us()
        if isinstance(message, sessions.Unhold):
            if before is None:
                return Decision(message.id, None, sessions.HoldIs(0), is_changed=False)
            after = session_lifetimes.let_go(before, message.holder, now, self.jitter)
            return Decision(message.id, after, sessions.HoldIs(after.expires_us))
        if not 0 < message.lease <= MAX_LEASE:
            raise InvalidInputError(
                f"lease = {message.lease}: expected seconds > 0, at most {MAX_LEASE:.0f}"
            )
        if before is None:
            raise NoSessionError(message.id)
        is_new = not session_lifetimes.is_held(before, now, message.holder)
        until = now + round(message.lease * 1_000_000)
        after = session_lifetimes.taken_in_use(before, message.holder, until, now, self.jitter)
        return Decision(message.id, after, sessions.HoldIs(after.expires_us), is_forced=is_new)


def check_id(id: str, what: str = "id") -> str:
    """The same.  Raises InvalidInputError."""
    if not id or len(id) > MAX_ID or "\0" in id:
        raise InvalidInputError(
            f"{what} = {id[:80]!r}: expected 1 to {MAX_ID} characters without NUL"
        )
    return id


def _check_seconds(name: str, value: float | None) -> None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise InvalidInputError(f"{name} = {value}: expected seconds > 0")


def _check_data(name: str, text: str) -> None:
    size = utf8_size(text)
    if size > MAX_BYTES:
        raise InvalidInputError(f"{name}: {size} bytes; expected at most {MAX_BYTES}")
    jsontext.decode(text)


def _check_owner(session: Session | None, owner: str | None) -> None:
    """Who owns it may change it; what nobody owns, everybody may."""
    if session is not None and session.owner is not None and session.owner != owner:
        raise OwnedError(f"session {session.id!r}", owner=session.owner)
