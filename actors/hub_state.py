"""Sessions and checkpoints as a program uses them."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.actors.messages import checkpoints, sessions
from holdfast.actors.threaded import ThreadedDriver
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext, records

__all__ = ["Checkpoint", "HubCheckpoints", "HubSessions", "Session"]


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


class Checkpoint(msgspec.Struct, frozen=True):
    """A state to resume from; ``state`` is decoded, ``id`` counts from 1 per agent."""

    agent: str
    id: int
    created_us: int
    state: Any


class HubSessions:
    """``hub.sessions``."""

    def __init__(self, driver: ThreadedDriver) -> None:
        self._driver = driver
        driver.open("sessions")

    def put(
        self,
        id: str,
        data: object,
        *,
        ttl: float | None = None,
        max_age: float | None = None,
        expected_version: str | None = None,
        durability: sessions.Durability = "memory",
        timeout: float = 30.0,
    ) -> str:
        """Create or replace a session; its new version.

        ``ttl`` seconds after the last put or touch it expires, at the latest ``max_age`` seconds
        after it was created.  ``expected_version=""`` means that there must be none.  Raises
        Conflict when another version is there.  Written behind within a second, unless
        ``durability="committed"`` waits for COMMIT.
        """
        put = sessions.Put(id, jsontext.encode(data), ttl, max_age, expected_version, durability)
        if durability == "memory" and expected_version is None:
            reply = self._driver.ask_once("sessions", put, timeout)
        elif durability == "memory":
            # Asked again after a crash it would meet its own version and report a conflict.
            reply = self._driver.ask_once("sessions", put, timeout, idempotent=False)
        elif durability == "committed":
            reply = self._driver.command_once("sessions", put, timeout)
        else:
            raise InvalidInputError(f"durability = {durability!r}: expected memory or committed")
        version: str = reply.version
        return version

    def get(self, id: str, *, timeout: float = 30.0) -> Session | None:
        """The session, or None when there is none or its time is over."""
        return _readable(self._driver.ask_once("sessions", sessions.Get(id), timeout).session)

    def touch(self, id: str, *, timeout: float = 30.0) -> Session | None:
        """Start its time to live anew; None when there is none that lives."""
        return _readable(self._driver.ask_once("sessions", sessions.Touch(id), timeout).session)

    def delete(self, id: str, *, timeout: float = 30.0) -> bool:
        """End it, committed; whether it lived."""
        existed: bool = self._driver.command_once("sessions", sessions.Delete(id), timeout).existed
        return existed


class HubCheckpoints:
    """``hub.checkpoints``."""

    def __init__(self, driver: ThreadedDriver) -> None:
        self._driver = driver
        driver.open("checkpoints")

    def put(self, agent: str, state: object, *, timeout: float = 30.0) -> int:
        """Keep a state; its id, after COMMIT.  Kept once, whatever is killed meanwhile."""
        put = checkpoints.Put(agent, jsontext.encode(state))
        saved: int = self._driver.command_once("checkpoints", put, timeout).id
        return saved

    def get(self, agent: str, *, timeout: float = 30.0) -> Checkpoint | None:
        """The newest one."""
        reply = self._driver.ask_once("checkpoints", checkpoints.Get(agent), timeout)
        return None if reply.checkpoint is None else _opened(reply.checkpoint)

    def list(self, agent: str, limit: int = 100, *, timeout: float = 30.0) -> list[Checkpoint]:
        """The newest ones, newest first."""
        reply = self._driver.ask_once("checkpoints", checkpoints.List(agent, limit), timeout)
        return [_opened(checkpoint) for checkpoint in reply.checkpoints]


def _readable(session: records.Session | None) -> Session | None:
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


def _opened(checkpoint: records.Checkpoint) -> Checkpoint:
    return Checkpoint(
        checkpoint.agent, checkpoint.id, checkpoint.created_us, jsontext.decode(checkpoint.state)
    )
