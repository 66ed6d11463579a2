"""References to actors, and proxies of agents, as tasks of an asyncio program use them.

Nothing is kept here; what is told waits in the outbox of the driver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from holdfast.actors.failures import RemoteActorDied
from holdfast.actors.looped import LoopDriver
from holdfast.actors.messages.supervisor import ChildStatus
from holdfast.actors.monitors import state_of
from holdfast.actors.plain import ProxyCall
from holdfast.actors.ref import FAIL, Reference
from holdfast.aio_monitors import AsyncMonitor
from holdfast.errors import ActorDied

__all__ = ["ActorRef", "Method", "Proxy"]


class ActorRef(Reference):
    """A reference to the actor ``name``; it stays good across the actor's restarts."""

    def __init__(self, name: str, driver: LoopDriver) -> None:
        self.name = name
        self._driver = driver

    def __repr__(self) -> str:
        return f"<ActorRef {self.name}>"

    async def tell(self, message: object, *, timeout: float | None = None) -> None:
        """Queue a message until the actor has acknowledged it.

        Waits only when the outbox is full, at most ``timeout`` seconds (None: those of its
        policy); a cancelled ``tell`` has queued nothing.  Raises OutboxFullError, FrameError.
        """
        await self._driver.tell(self.name, message, timeout)

    async def ask(
        self,
        message: object,
        *,
        timeout: float | None = None,
        idempotent: bool | None = None,
        on_restarting: Literal["wait", "fail"] = "wait",
    ) -> Any:
        """The actor's answer.  A cancelled ``ask`` may still be handled; its answer is dropped.

        ``idempotent`` ones are asked again after each restart of the actor, until the timeout; by
        default those whose class says ``idempotent = True``.  ``on_restarting="fail"`` raises
        ActorDied(started=False) within 50 ms when the actor is not there.

        Raises AskTimeout (a TimeoutError), RemoteActorDied, or what the handler raised.
        """
        link = self._driver.link(self.name)
        if on_restarting == "fail" and not await link.is_up(min(timeout or FAIL, FAIL)):
            raise RemoteActorDied(self.name, started=False)
        if idempotent is None:
            idempotent = bool(getattr(message, "idempotent", False))
        return await link.ask(message, timeout, idempotent=idempotent)

    async def ask_all(
        self, messages: Sequence[object], *, timeout: float | None = None
    ) -> list[Any]:
        """The replies to all messages, in order, in about one round trip.

        Raises as ``ask`` does, for the first that fails; the other answers are dropped then.
        """
        asks = [asyncio.ensure_future(self.ask(message, timeout=timeout)) for message in messages]
        try:
            return await asyncio.gather(*asks)
        finally:
            for ask in asks:
                ask.cancel()

    async def stop(self, *, timeout: float | None = None) -> bool:
        """Stop it after what came before; True, or False when it was dying already."""
        try:
            await self._driver.link(self.name).stop(timeout)
        except ActorDied:
            return False
        return True

    async def state(self, *, timeout: float = 30.0) -> ChildStatus:
        """What its supervisor says of it now: state, pid, incarnation, restarts, last exit.

        ``mailbox``, ``handled`` and ``children`` are as last heard of.  Raises UnknownActorError
        for a name that is in no supervisor, else as ``ask`` does.
        """
        return await self._driver.run(state_of(self.name, timeout))

    async def monitor(self, *, timeout: float = 30.0) -> AsyncMonitor:
        """Watch its present life, which is not harmed by that; await ``wait`` for the Down.

        Returns once the supervisor watches.  Without a life to watch the Down is there at once,
        its reason ``noproc``.  Raises as ``ask`` does.
        """
        monitor = AsyncMonitor(self.name, self._driver)
        await monitor.begin(timeout)
        return monitor

    async def proxy(self, *, timeout: float | None = 30.0) -> Proxy:
        """The agent's public methods and attributes; asks it what they are.

        Raises as ``ask`` does.
        """
        return Proxy(self, await self.ask(ProxyCall("describe"), timeout=timeout))


class Method:
    """A method of an agent elsewhere: await the call, or ``defer`` it and wait for nothing."""

    def __init__(self, ref: ActorRef, name: str) -> None:
        self._ref = ref
        self._name = name

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What it returns; raises what it raised."""
        return await self._ref.ask(ProxyCall("call", self._name, list(args), kwargs))

    async def defer(self, *args: Any, **kwargs: Any) -> None:
        """Call it and let what it returns go; an exception ends the agent, as in any tell."""
        await self._ref.tell(ProxyCall("call", self._name, list(args), kwargs))


class Proxy:
    """``await proxy.method(1)``, ``await proxy.attribute``; nothing is set by assignment."""

    def __init__(self, ref: ActorRef, described: dict[str, bool]) -> None:
        object.__setattr__(self, "actor_ref", ref)
        object.__setattr__(self, "_is_method", described)

    def __getattr__(self, name: str) -> Any:
        is_method: dict[str, bool] = object.__getattribute__(self, "_is_method")
        ref: ActorRef = object.__getattribute__(self, "actor_ref")
        if name not in is_method:
            raise AttributeError(f"{ref!r} has no public attribute {name!r}")
        if is_method[name]:
            return Method(ref, name)
        return ref.ask(ProxyCall("get", name))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"an assignment cannot be awaited: call a method that sets {name!r}")

    def __dir__(self) -> list[str]:
        return sorted(object.__getattribute__(self, "_is_method"))
