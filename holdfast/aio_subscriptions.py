"""Subscriptions as an asyncio program uses them: asynchronous iterators over events.

Kept in this process only: the events of a page that were not handed out yet.  They are fetched
again from the position, which is where the last one that was handed out stands; a named one goes
on behind what was acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from holdfast.actors.calls import AsyncRunner
from holdfast.actors.event_calls import Event
from holdfast.actors.following import Following
from holdfast.actors.subscriber_calls import nameless
from holdfast.errors import HoldfastError

__all__ = ["AsyncSubscription"]


class AsyncSubscription:
    """Every event asked for, in order, each once; ``async for`` it, without end.

    It begins at its first step, or when it is awaited or entered.  A cancelled or failed step
    skips none: the next one goes on there.  Several tasks may share one; each event goes to one
    of them.
    """

    def __init__(
        self,
        following: Following,
        *,
        runner: AsyncRunner,
    ) -> None:
        self._following = following
        self._runner = runner
        self._page: deque[Event] = deque()  # come and not handed out
        self._turn = asyncio.Lock()  # one task at a time takes the next event
        self._room = asyncio.Event()  # something was acknowledged since it was looked at
        self._handed_out = 0  # the number of the last one
        self._is_closed = False

    @property
    def position(self) -> int:
        """Events up to this number were handed out or not asked for; 0 before it has begun."""
        return self._handed_out if self._page else self._following.position

    @property
    def missed(self) -> int:
        """Events that were deleted before this subscription came to them."""
        return self._following.missed

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._begin().__await__()

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            await self.close()
        else:
            with suppress(HoldfastError):  # what is not committed comes again
                await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        async with self._turn:
            await self._wait_for_acknowledgement()
            while not (self._page or self._is_closed):
                self._page.extend(await self._runner.run(self._following.next_page()))
            await self._slow_down()
            if self._is_closed:
                raise StopAsyncIteration
            event = self._page.popleft()
            self._handed_out = event.seq
            if self._following.acknowledging is not None:
                self._following.acknowledging.hand_out(event.seq)
            return event

    async def ack(self, event: Event | int, *, wait: bool = True) -> None:
        """Acknowledge this event, or number, and all before it, for a subscription with a name.

        They do not come again, whoever consumes under that name.  Committed when it returns;
        without ``wait`` together with the next one that waits, when more events are fetched, or
        at ``close``.  Raises Conflict when another consumer has taken the name over.
        """
        acknowledging = self._following.acknowledging
        if acknowledging is None:
            raise nameless()
        acknowledging.note(event.seq if isinstance(event, Event) else event)
        self._room.set()
        if wait:
            await self._runner.run(acknowledging.commit())

    async def close(self) -> None:
        """Commit what was acknowledged; end the iteration, for who waits in it within 10 s."""
        self._is_closed = True
        self._room.set()
        if self._following.acknowledging is not None:
            await self._runner.run(self._following.acknowledging.commit())

    async def _begin(self) -> Self:
        async with self._turn:
            await self._runner.run(self._following.begin())
        return self

    async def _wait_for_acknowledgement(self) -> None:
        acknowledging = self._following.acknowledging
        if acknowledging is None:
            return
        try:
            async with asyncio.timeout(self._following.timeout):
                while acknowledging.is_full and not self._is_closed:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise acknowledging.unacknowledged() from None

    async def _slow_down(self) -> None:
        bucket = self._following.bucket
        if bucket is not None:
            while (seconds := bucket.take()) > 0:
                await asyncio.sleep(seconds)
