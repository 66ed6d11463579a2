"""Sessions in use: blocks in which one does not become idle, for threads and for asyncio.

Kept by the sessions actor with the session: who holds it, and until when.  It ends a lease after
the last sign of life.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Final

import msgspec

from holdfast.actors.calls import Ask, AsyncRunner, Runner, Steps
from holdfast.actors.messages import sessions
from holdfast.actors.renewals import Driver, Renewal, send
from holdfast.actors.session_calls import Session, readable
from holdfast.errors import HoldfastError, NoSessionError

__all__ = ["AsyncHolding", "Hold", "Holding"]

RENEWALS: Final = 4  # signs of life within a lease


class Hold(msgspec.Struct, frozen=True):
    """What is to be held, by whom (None: by this block), for how long without a sign of life."""

    id: str
    lease: float
    holder: str | None
    timeout: float


class _Block:
    """One block; entered once."""

    def __init__(self, driver: Driver, hold: Hold) -> None:
        holder = hold.holder or f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._hold = hold
        self._message = sessions.Hold(hold.id, holder, hold.lease)
        self._driver = driver
        self._renewal: Renewal | None = None

    def _begin(self) -> Steps[Session]:
        timeout = self._hold.timeout
        yield Ask("sessions", self._message, timeout)
        reply = yield Ask("sessions", sessions.Get(self._hold.id), timeout)
        session = readable(reply.session)
        if session is None:
            raise NoSessionError(self._hold.id)
        self._renewal = Renewal(
            self._driver, "sessions", self._message, self._hold.lease / RENEWALS
        )
        return session

    def _end(self) -> None:
        """Let go; it need not be waited for, since the lease ends by itself."""
        if self._renewal is not None:
            self._renewal.stop()
        with suppress(HoldfastError):  # closed meanwhile
            send(self._driver, "sessions", sessions.Unhold(self._hold.id, self._message.holder))


class Holding(_Block):
    """``with hub.sessions.hold(id) as session``."""

    def __init__(self, runner: Runner, driver: Driver, hold: Hold) -> None:
        super().__init__(driver, hold)
        self._runner = runner

    def __enter__(self) -> Session:
        return self._runner.run(self._begin())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()


class AsyncHolding(_Block):
    """``async with hub.sessions.hold(id) as session``."""

    def __init__(self, runner: AsyncRunner, driver: Driver, hold: Hold) -> None:
        super().__init__(driver, hold)
        self._runner = runner

    async def __aenter__(self) -> Session:
        return await self._runner.run(self._begin())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
