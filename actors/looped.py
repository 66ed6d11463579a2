"""The driver for asyncio programs: links to actors, carried by the loop itself.

Kept in this process only: the outboxes.  They are lost when it dies, so whoever needs to know that
something is safe awaits ``flush``.

There is no thread and no task of its own: sockets, timers and the callers' tasks are all it needs.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, assert_never

from holdfast.actors.addresses import socket_path
from holdfast.actors.calls import Ask, Command, Drain, Now, Step, Steps, Work
from holdfast.actors.counters import Counters, counters_of
from holdfast.actors.failures import AskTimeout
from holdfast.actors.link import Link, lane
from holdfast.actors.loop_link import Deadlines, LoopLink, LoopReactor
from holdfast.actors.outbox import Omit, OutboxLimits, Pack
from holdfast.actors.renewals import renewed
from holdfast.actors.vocabularies import decode_reply_of
from holdfast.errors import HoldfastError

__all__ = ["LoopDriver"]

T = TypeVar("T")


class LoopDriver:
    """Links by actor name, for any number of tasks of the loop that runs when it is made."""

    def __init__(
        self,
        *,
        run_dir: Path,
        sender: str,
        incarnation: str,
        decode_plain: Callable[[bytes], Any],
        limits: OutboxLimits | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._sender = sender
        self._incarnation = incarnation
        self._decode_plain = decode_plain  # what reads the answers of agents
        self._limits = limits
        # Addresses go through a descriptor: the path of a socket holds 107 bytes only.
        self._folder = os.open(run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._reactor = LoopReactor(self._loop)
        self._deadlines = Deadlines(self._loop)
        self._links: dict[str, LoopLink] = {}
        self._closed = False

    def link(self, to: str, *, pack: Pack | None = None, omit: Omit | None = None) -> LoopLink:
        """The link to an actor; made at the first call, which says how offers are packed.

        Raises HoldfastError after a fork, from another loop, and after ``close``.
        """
        self._check()
        link = self._links.get(to)
        if link is None:
            actor, sender = lane(to, self._sender)
            core = Link(
                to=actor,
                sender=sender,
                incarnation=self._incarnation,
                decode_reply=decode_reply_of(actor) or self._decode_plain,
                pack=pack,
                omit=omit,
                limits=self._limits,
            )
            address = socket_path(self._folder, actor)
            link = self._links[to] = LoopLink(
                core,
                address=address,
                loop=self._loop,
                reactor=self._reactor,
                deadlines=self._deadlines,
            )
        return link

    async def offer(self, to: str, item: bytes, timeout: float | None) -> None:
        """Queue one item; what happens when the outbox is full is the policy's to say.

        Until it is queued nothing is: a caller that is cancelled has queued nothing.  Raises
        OutboxFullError.
        """
        link = self.link(to)
        if link.is_crowded:
            await link.let_others_run()
            self._check()
            if link.overflow(item):
                return
            await self._room(link, timeout)
        link.offer(item)

    async def tell(self, to: str, message: object, timeout: float | None) -> None:
        """Queue a message until it is acknowledged; waits when the outbox is full."""
        link = self.link(to)
        if link.is_crowded:
            await link.let_others_run()
            await self._room(link, timeout)
        link.tell(message)

    def send_ask(
        self, to: str, message: object, on_reply: Callable[[Any], None], *, idempotent: bool
    ) -> int:
        """Queue a question whose answer is called back; its id."""
        return self.link(to).send_ask(message, on_reply, idempotent=idempotent)

    def abandon(self, to: str, ident: int) -> None:
        """Nobody waits for the answer any more."""
        self.link(to).link.abandon(ident)

    async def held(self, to: str, waiter: asyncio.Future[Any]) -> None:
        """Wait for ``waiter``; raises when this driver is closed before."""
        await self.link(to).held(waiter)

    def later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back in ``delay`` seconds."""
        self._check()
        return self._loop.call_later(delay, callback)

    async def run(self, steps: Steps[T], /) -> T:
        """Take the steps of a call; what it returns."""
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._take(step))
        except StopIteration as end:
            value: T = end.value
            return value

    async def drain(self, timeout: float) -> float:
        """Wait until all that was queued before is acknowledged; the seconds that are left.

        Raises AskTimeout, or what a link was refused with if it still owes.
        """
        self._check()
        deadline = self._loop.time() + timeout
        owing = [(link, link.link.accepted) for link in self._links.values()]
        try:
            async with asyncio.timeout(timeout):
                for link, accepted in owing:
                    await link.until(partial(_is_settled, link.link, accepted))
        except TimeoutError as error:
            raise AskTimeout(self._debts(timeout)) from error
        for link, _ in owing:
            if link.link.refused is not None and link.link.queued:
                raise link.link.refused
        return max(0.0, deadline - self._loop.time())

    @property
    def counters(self) -> dict[str, Counters]:
        """The counts of every link, by name."""
        return {to: counters_of(link.link) for to, link in self._links.items()}

    @property
    def is_open(self) -> bool:
        """Not closed, and not the copy that a fork made."""
        return not self._closed and os.getpid() == self._pid

    def close(self) -> None:
        """Say goodbye where nothing is owed; abandon what is not acknowledged."""
        if not self.is_open:
            return  # a forked child shares sockets and epoll; they are the parent's to close
        self._check()
        self._closed = True
        for link in self._links.values():
            link.close(HoldfastError("the connection was closed while this call waited"))
        self._deadlines.close()
        os.close(self._folder)

    # -- inside -------------------------------------------------------------------------------

    def _check(self) -> None:
        try:
            # No loop runs in the child of a fork: the process id need not be asked for each time.
            is_at_home = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_at_home = False
        if is_at_home and not self._closed:
            return
        if os.getpid() != self._pid:
            raise HoldfastError(
                f"this connection belongs to process {self._pid}, not to its fork {os.getpid()}: "
                "connect again in the child"
            )
        if not is_at_home:
            raise HoldfastError(
                "this connection belongs to another event loop: connect in the loop that uses it"
            )
        raise HoldfastError("the connection is closed: connect again")

    async def _room(self, link: LoopLink, timeout: float | None) -> None:
        await link.room(timeout)
        self._check()  # it may have been closed meanwhile

    async def _take(self, step: Step) -> Any:
        match step:
            case Ask():
                link = self.link(step.to)
                return await link.ask(step.message, step.timeout, idempotent=step.idempotent)
            case Command():
                link = self.link(step.to)
                if link.is_crowded:
                    await self._room(link, step.timeout)
                return await link.command(step.message, step.timeout)
            case Drain():
                return await self.drain(step.timeout)
            case Now():
                return self._loop.time()
            case Work():
                with renewed(self, step):
                    made = step.function()
                    return step.finish(await made if inspect.isawaitable(made) else made)
            case _:
                assert_never(step)

    def _debts(self, timeout: float) -> str:
        owed = {to: link.link.queued for to, link in self._links.items() if link.link.queued}
        listed = ", ".join(f"{count} to {to!r}" for to, count in owed.items())
        return f"not acknowledged after {timeout} s: {listed}: look at `holdfast status`"


def _is_settled(link: Link, accepted: int) -> bool:
    """Whether the first ``accepted`` messages are acknowledged, or never will be."""
    return link.refused is not None or link.accepted - link.queued >= accepted
