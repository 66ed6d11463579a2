"""Monitors as tasks of an asyncio program wait for them.

Kept here: who waits for which.  A task that is cancelled only stops waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from holdfast.actors.looped import LoopDriver
from holdfast.actors.monitors import Down, Monitor, overdue
from holdfast.actors.supervision_calls import supervisor_of
from holdfast.errors import UnknownActorError

__all__ = ["AsyncMonitor"]


class AsyncMonitor(Monitor):
    """One monitor of one life; any number of tasks may wait for it."""

    def __init__(self, name: str, driver: LoopDriver) -> None:
        super().__init__(name, driver)
        self._driver = driver
        self._waiters: set[asyncio.Future[None]] = set()

    async def wait(self, timeout: float | None = None) -> Down:
        """The Down; waits for it, without ``timeout`` for ever.

        Raises AskTimeout (a TimeoutError), and watches on; HoldfastError when the monitor is
        cancelled or the hub closed.
        """
        if self._down is None:
            await self._until(lambda: not self.is_alive, timeout)
        return self.outcome()

    async def begin(self, timeout: float) -> None:
        """Find the supervisor and wait until it watches; for who makes the monitor."""
        until = time.monotonic() + timeout
        try:
            self.watch(await self._driver.run(supervisor_of(self.name, timeout)))
        except UnknownActorError:
            self.no_such_actor()
        try:
            await self._until(lambda: self.is_settled, max(0.0, until - time.monotonic()))
        except BaseException:  # a cancelled task, too: nobody else could end it
            self.cancel()
            raise
        if self.error is not None:
            raise self.error

    def _changed(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _until(self, is_done: Callable[[], bool], timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not is_done():
                    await self._next_change()
        except TimeoutError:
            raise overdue(self, timeout) from None

    async def _next_change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await self._driver.held(self.supervisor, waiter)
        finally:
            self._waiters.discard(waiter)
