"""Subscriptions as an asyncio program uses them: asynchronous iterators over events.

Kept in this process only: the events of a page that were not handed out yet.  They are fetched
again from the position, which is where the last one that was handed out stands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

from holdfast.actors.calls import AsyncRunner
from holdfast.actors.event_calls import Event
from holdfast.actors.following import Following
from holdfast.actors.token_bucket import TokenBucket

__all__ = ["AsyncSubscription"]


class AsyncSubscription:
    """Every event asked for, in order, each once; ``async for`` it, without end.

    It begins at its first step, or when it is awaited or entered.  A cancelled or failed step
    skips none: the next one goes on there.  Several tasks may share one; each event goes to one
    of them.
    """

    def __init__(
        self, following: Following, *, runner: AsyncRunner, bucket: TokenBucket | None
    ) -> None:
        self._following = following
        self._runner = runner
        self._bucket = bucket
        self._page: deque[Event] = deque()  # come and not handed out
        self._turn = asyncio.Lock()  # one task at a time takes the next event
        self._handed_out = 0  # the number of the last one
        self._is_closed = False

    @property
    def position(self) -> int:
        """Events up to this number were handed out or not asked for; 0 before it has begun."""
        return self._handed_out if self._page else self._following.reached

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
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        async with self._turn:
            while not (self._page or self._is_closed):
                self._page.extend(await self._runner.run(self._following.next_page()))
            await self._slow_down()
            if self._is_closed:
                raise StopAsyncIteration
            event = self._page.popleft()
            self._handed_out = event.seq
            return event

    async def close(self) -> None:
        """End the iteration, for who waits in it within 10 seconds."""
        self._is_closed = True

    async def _begin(self) -> Self:
        async with self._turn:
            await self._runner.run(self._following.begin())
        return self

    async def _slow_down(self) -> None:
        if self._bucket is not None:
            while (seconds := self._bucket.take()) > 0:
                await asyncio.sleep(seconds)
