"""A link and its socket as the tasks of an asyncio loop use them.

Kept here: who waits for what.  A task that is cancelled only stops waiting: what it queued is sent
and carried out all the same, and an answer that nobody waits for is dropped.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Final

from holdfast.actors.failures import AskTimeout, unanswered
from holdfast.actors.link import Link
from holdfast.actors.link_socket import LinkSocket
from holdfast.actors.reactor import READ, WRITE
from holdfast.errors import HoldfastError

__all__ = ["Deadlines", "LoopLink", "LoopReactor"]

LEAST_SWEPT: Final = 256  # deadlines; fewer are not worth a sweep
BURST: Final = 512  # messages queued in one turn of the loop, a full frame; then others run

_Waiter = asyncio.Future[Any]
Deadline = list[tuple[_Waiter, str, float]]  # whose, of which actor, its timeout; empty when over


class LoopReactor:
    """What a LinkSocket waits on, provided by a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}  # fd: mask, callback

    def add(self, fd: int, mask: int, callback: Callable[[int], None]) -> None:
        """Call ``callback(events)`` whenever ``fd`` is ready for ``mask``."""
        self._watched[fd] = 0, callback
        self.modify(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        """Wait for something else on ``fd``."""
        before, callback = self._watched[fd]
        self._watched[fd] = mask, callback
        changed = before ^ mask
        if changed & READ:
            if mask & READ:
                self._loop.add_reader(fd, callback, READ)
            else:
                self._loop.remove_reader(fd)
        if changed & WRITE:
            if mask & WRITE:
                self._loop.add_writer(fd, callback, WRITE)
            else:
                self._loop.remove_writer(fd)

    def remove(self, fd: int) -> None:
        """Forget ``fd``; call it before the descriptor is closed."""
        if fd in self._watched:
            self.modify(fd, 0)
            del self._watched[fd]

    def later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call ``callback`` once, ``delay`` seconds from now."""
        return self._loop.call_later(delay, callback)


class Deadlines:
    """Gives up on answers whose time is over; one timer of the loop for all of them.

    A ``call_later`` and a ``cancel`` for each ask cost 3-5 us, a tenth of the round trip.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._bound = LEAST_SWEPT  # entries at which those that are over are thrown out

    def add(self, timeout: float, waiter: _Waiter, to: str) -> Deadline:
        """End ``waiter`` with AskTimeout in ``timeout`` seconds, unless what returns is cleared."""
        when = self._loop.time() + timeout
        deadline = [(waiter, to, timeout)]
        heapq.heappush(self._heap, (when, next(self._order), deadline))
        if self._timer is None or when < self._timer.when():
            self._arm(when)
        if len(self._heap) >= self._bound:
            self._heap = [entry for entry in self._heap if entry[2]]
            heapq.heapify(self._heap)
            self._bound = 2 * len(self._heap) + LEAST_SWEPT
        return deadline

    def close(self) -> None:
        """Give up on nobody any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        heap = self._heap
        while heap and (heap[0][0] <= now or not heap[0][2]):
            for overdue in heapq.heappop(heap)[2]:
                _give_up(*overdue)
        if heap:
            self._arm(heap[0][0])


class LoopLink:
    """One conversation; every method is called in the loop's thread."""

    def __init__(
        self,
        link: Link,
        *,
        address: str,
        loop: asyncio.AbstractEventLoop,
        reactor: LoopReactor,
        deadlines: Deadlines,
    ) -> None:
        self.link = link
        self._loop = loop
        self._deadlines = deadlines
        self._wire = LinkSocket(link, address=address, reactor=reactor, changed=self._changed)
        self._answers: set[_Waiter] = set()  # asks and commands whose answer is awaited
        self._changes: list[tuple[Callable[[], bool], _Waiter]] = []  # what tasks wait to be true
        self._unsent = 0  # messages queued since the last flush
        self._is_flush_due = False
        self._wire.open()

    # -- sending ------------------------------------------------------------------------------

    @property
    def is_crowded(self) -> bool:
        """Others should run, or ``room`` must be awaited, before anything is queued."""
        return self._unsent >= BURST or not self._has_room() or self.link.refused is not None

    async def let_others_run(self) -> None:
        """One turn of the loop, if much was queued in this one: what is queued leaves in it."""
        if self._unsent >= BURST:
            await asyncio.sleep(0)

    async def room(self, timeout: float | None) -> None:
        """Wait while the outbox is full (None: as long as its policy says); then queue at once.

        Raises OutboxFullError, or what the link was refused with.
        """
        if timeout is None:
            timeout = self.link.room_timeout
        try:
            async with asyncio.timeout(timeout):
                await self.until(self._has_room)
        except TimeoutError:
            raise self.link.reject(timeout) from None
        if self.link.refused is not None:
            raise self.link.refused

    def overflow(self, item: bytes) -> bool:
        """Whether the outbox is full and its policy is to omit the item, which is done then."""
        link = self.link
        if not link.is_full or link.refused is not None or not link.overflow(item):
            return False
        self._queued()
        return True

    def offer(self, item: bytes) -> None:
        """Queue one item; it leaves with what else is queued in this turn of the loop."""
        self.link.offer(item)
        self._queued()

    def tell(self, message: object) -> None:
        """Queue a message until it is acknowledged."""
        self.link.tell(message)
        self._queued()

    async def ask(self, message: object, timeout: float | None, *, idempotent: bool) -> Any:
        """The reply.  Raises AskTimeout, RemoteActorDied or what the handler raised."""
        waiter = self._loop.create_future()
        deadline = None if timeout is None else time.monotonic() + timeout
        ident = self.link.ask(
            message, partial(_settle, waiter), idempotent=idempotent, deadline=deadline
        )
        try:
            return await self._answer(waiter, timeout)
        except (AskTimeout, asyncio.CancelledError):
            self.link.abandon(ident)
            raise

    def send_ask(
        self, message: object, on_reply: Callable[[Any], None], *, idempotent: bool
    ) -> int:
        """Queue a question that no task awaits; its id."""
        ident = self.link.ask(message, on_reply, idempotent=idempotent)
        self._queued()
        return ident

    async def command(self, message: object, timeout: float | None) -> Any:
        """The result; a caller that gives up before it comes does not stop the command."""
        waiter = self._loop.create_future()
        self.link.command(message, partial(_settle, waiter))
        return await self._answer(waiter, timeout)

    async def stop(self, timeout: float | None) -> Any:
        """Send pykka's stop; the reply."""
        waiter = self._loop.create_future()
        self.link.stop(partial(_settle, waiter))
        return await self._answer(waiter, timeout)

    # -- waiting ------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what acknowledgements, replies and breaks may make true."""
        while not condition():
            waiter = self._loop.create_future()
            change = condition, waiter
            self._changes.append(change)
            try:
                await waiter
            finally:
                self._changes.remove(change)

    async def held(self, waiter: _Waiter) -> Any:
        """What ``waiter`` gets from elsewhere, or the error when this link is closed before."""
        self._answers.add(waiter)
        try:
            return await waiter
        finally:
            self._answers.discard(waiter)

    async def is_up(self, timeout: float) -> bool:
        """Whether the actor has welcomed this program; waits for that, at most ``timeout`` s."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.until(lambda: self.link.is_up)
        return self.link.is_up

    def close(self, error: HoldfastError) -> None:
        """Say goodbye where nothing is owed; whoever waits gets ``error``."""
        self._wire.close()
        for waiter in (*self._answers, *(waiter for _, waiter in self._changes)):
            if not waiter.done():
                waiter.set_exception(error)

    # -- inside -------------------------------------------------------------------------------

    async def _answer(self, waiter: _Waiter, timeout: float | None) -> Any:
        deadline: Deadline | None = None
        if timeout is not None:
            deadline = self._deadlines.add(timeout, waiter, self.link.to)
        if self._answers:
            self._queued()  # an answer is on its way: what is asked until then leaves together
        else:
            self._wire.flush()
        self._answers.add(waiter)
        try:
            return await waiter
        finally:
            self._answers.discard(waiter)
            if deadline is not None:
                deadline.clear()  # its entry stays for a while, and must not keep the answer

    def _has_room(self) -> bool:
        return not self.link.is_full or self.link.refused is not None

    def _queued(self) -> None:
        self._unsent += 1
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        self._unsent = 0
        self._wire.flush()

    def _changed(self) -> None:
        for condition, waiter in self._changes:
            if not waiter.done() and condition():
                waiter.set_result(None)


def _settle(waiter: _Waiter, outcome: Any) -> None:
    """The answer is there; perhaps nobody waits for it any more."""
    if waiter.done():
        return
    if isinstance(outcome, HoldfastError):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)


def _give_up(waiter: _Waiter, to: str, timeout: float) -> None:
    if not waiter.done():
        waiter.set_exception(unanswered(to, timeout))
