"""What a call of a hub sends and how its reply reads: written once, for threads and for asyncio.

A call is a generator: it yields what is to be asked, gets each reply, and returns what the caller
gets.  It knows nothing of sockets, threads or loops, and keeps nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

import msgspec

from holdfast.actors.messages import log, writer
from holdfast.errors import InvalidInputError

__all__ = [
    "Ask",
    "AsyncRunner",
    "Awaited",
    "Blocking",
    "Command",
    "Drain",
    "Level",
    "Now",
    "Runner",
    "Step",
    "Steps",
    "Work",
    "ask",
    "awaited",
    "blocking",
    "flush",
]

Level = Literal["memory", "committed", "disk"]

P = ParamSpec("P")
T = TypeVar("T")


class Ask:
    """Ask an actor, again after each restart of it unless not ``idempotent``.  Gets: its reply."""

    __slots__ = ("idempotent", "message", "timeout", "to")

    def __init__(
        self, to: str, message: object, timeout: float, *, idempotent: bool = True
    ) -> None:
        self.to = to
        self.message = message
        self.timeout = timeout
        self.idempotent = idempotent


class Command:
    """Have it carried out exactly once.  Gets: the result."""

    __slots__ = ("message", "timeout", "to")

    def __init__(self, to: str, message: object, timeout: float) -> None:
        self.to = to
        self.message = message
        self.timeout = timeout


class Drain:
    """Wait until all that was sent before is acknowledged.  Gets: the seconds that are left."""

    __slots__ = ("timeout",)

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout


class Now:
    """Gets: seconds since some fixed point, which only go on."""

    __slots__ = ()


class Work:
    """Have the caller's ``function`` run, awaited if need be; tell ``to`` of it meanwhile.

    Sends ``renew`` every so many seconds, and ``give_up`` when it raises.  Gets: what ``finish``
    makes of its result.
    """

    __slots__ = ("every", "finish", "function", "give_up", "renew", "to")

    def __init__(
        self,
        function: Callable[[], Any],
        finish: Callable[[Any], object],
        *,
        to: str,
        renew: object,
        every: float,
        give_up: object,
    ) -> None:
        self.function = function
        self.finish = finish
        self.to = to
        self.renew = renew
        self.every = every
        self.give_up = give_up


Step = Ask | Command | Drain | Now | Work
Steps = Generator[Step, Any, T]


class Runner(Protocol):
    """Takes the steps of calls in the calling thread, waiting for each."""

    def run(self, steps: Steps[T], /) -> T:
        """What the call returns."""


class AsyncRunner(Protocol):
    """Takes the steps of calls in the calling task, awaiting each."""

    def run(self, steps: Steps[T], /) -> Coroutine[Any, Any, T]:
        """What the call returns."""


class Blocking:
    """Has methods made by ``blocking``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner


class Awaited:
    """Has methods made by ``awaited``."""

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner


def blocking(call: Callable[P, Steps[T]]) -> Callable[Concatenate[Blocking, P], T]:
    """The method of a synchronous hub that waits for ``call``."""

    @wraps(call)
    def method(self: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._runner.run(call(*args, **kwargs))

    return _as_method(method, call)


def awaited(
    call: Callable[P, Steps[T]],
) -> Callable[Concatenate[Awaited, P], Coroutine[Any, Any, T]]:
    """The method of an asyncio hub that awaits ``call``."""

    @wraps(call)
    async def method(self: Awaited, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._runner.run(call(*args, **kwargs))

    return _as_method(method, call)


F = TypeVar("F", bound=Callable[..., Any])


def _as_method(method: F, call: Callable[..., object]) -> F:
    """Show in ``help`` and editors what the method takes and returns, not what the call does."""
    shown = inspect.signature(call)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    returned = str(shown.return_annotation).removeprefix("Steps[").removesuffix("]")
    signature = shown.replace(
        parameters=[own, *shown.parameters.values()], return_annotation=returned
    )
    del method.__wrapped__  # type: ignore[attr-defined]  # set by wraps
    method.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect
    method.__annotations__ = {**call.__annotations__, "return": returned}
    return method


# -- of no actor in particular -----------------------------------------------------------------


def flush(level: Level = "committed", timeout: float = 30.0) -> Steps[Level]:
    """Wait until everything this hub sent before is at ``level``; the level.

    Raises AskTimeout when it is not within ``timeout`` seconds; nothing is lost by that.
    """
    if level not in ("memory", "committed", "disk"):
        raise InvalidInputError(f"level = {level!r}: expected memory, committed or disk")
    if level == "memory":
        yield Ask("log", log.Barrier(), timeout)
        return level
    rest = yield Drain(timeout)
    if level == "disk":
        yield Ask("writer", writer.Sync(), rest)
    return level


def ask(name: str, message: object, timeout: float = 30.0) -> Steps[object]:
    """Ask an actor, again after each restart of it, until ``timeout``; its raw reply."""
    reply = yield Ask(name, message, timeout)
    return msgspec.to_builtins(reply)
