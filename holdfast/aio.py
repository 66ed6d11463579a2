"""The asyncio client: the names of the synchronous hub as coroutines, without a thread.

Kept in this process only: what was emitted or told and is not acknowledged yet.  It is lost when
the process dies; a task that is cancelled loses none of it.

    async with holdfast.aio.connect("var/run") as hub:
        await hub.events.emit("tool:call", {"command": "ls"}, session="s1")
        await hub.flush()
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, Unpack

from holdfast.actors import (
    calls,
    event_calls,
    stream_calls,
    subscriber_calls,
    text_calls,
    tree_calls,
)
from holdfast.actors.calls import Awaited, awaited
from holdfast.actors.counters import Counters
from holdfast.actors.event_calls import Event, EventCounters
from holdfast.actors.event_conditions import Selection
from holdfast.actors.event_encoding import EventEncoder
from holdfast.actors.following import PAGE, OnGap, Start, following_of
from holdfast.actors.looped import LoopDriver
from holdfast.actors.outbox import OutboxLimits, Policy, limited
from holdfast.actors.plain import decoder_with
from holdfast.actors.stream_calls import Expected
from holdfast.aio_monitors import AsyncMonitor
from holdfast.aio_refs import ActorRef
from holdfast.aio_relational import State
from holdfast.aio_state import Cache, Checkpoints, Files, Sessions, Supervision, Tracker
from holdfast.aio_subscriptions import AsyncSubscription
from holdfast.client import is_there, not_found
from holdfast.clock import Clock, SystemClock
from holdfast.errors import HoldfastError

__all__ = [
    "ActorRef",
    "AsyncMonitor",
    "AsyncSubscription",
    "Checkpoints",
    "Events",
    "Files",
    "Hub",
    "Sessions",
    "State",
    "Tracker",
    "connect",
]

GRACE: Final = 1.0  # seconds for what was sent before an exception ended the program's block


def connect(
    run_dir: str | os.PathLike[str] = "var/run",
    *,
    source: str | None = None,
    outbox_messages: int | None = None,
    outbox_bytes: int | None = None,
    outbox_policy: Policy = "block",
    outbox_timeout: float = 30.0,
) -> Connecting:
    """A hub to the daemon whose sockets are in ``run_dir``: ``async with`` it, or ``await`` it.

    ``source`` names this program in the events it emits; by default its process id does.  The
    others bound what waits here for each actor (docs/OVERLOAD.md).
    Raises DaemonNotFoundError when no root listens there; actors that restart are waited for.
    """
    limits = limited(outbox_messages, outbox_bytes, outbox_policy, outbox_timeout)
    return Connecting(Path(run_dir), source, limits)


class Connecting:
    """A hub to be: it belongs to the loop in which it is entered or awaited."""

    def __init__(self, run_dir: Path, source: str | None, limits: OutboxLimits) -> None:
        self._run_dir = run_dir
        self._source = source
        self._limits = limits
        self._hub: Hub | None = None

    def __await__(self) -> Generator[Any, Any, Hub]:
        return self._open().__await__()

    async def __aenter__(self) -> Hub:
        self._hub = await self._open()
        return self._hub

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._hub is not None
        await self._hub.__aexit__(exc_type, exc, traceback)

    async def _open(self) -> Hub:
        if not is_there(self._run_dir):
            raise not_found(self._run_dir)
        name = f"client/{os.getpid()}"
        return Hub(
            run_dir=self._run_dir,
            sender=f"{name}-{uuid.uuid4().hex[:12]}",
            incarnation="1",
            source=self._source or name,
            clock=SystemClock(),
            limits=self._limits,
        )


class Hub(Awaited):
    """``await holdfast.aio.connect()`` returns one; usable from several tasks of one loop."""

    def __init__(
        self,
        *,
        run_dir: Path,
        sender: str,
        incarnation: str,
        source: str,
        clock: Clock,
        limits: OutboxLimits | None = None,
    ) -> None:
        self._driver = LoopDriver(
            run_dir=run_dir,
            sender=sender,
            incarnation=incarnation,
            decode_plain=decoder_with(self.ref),
            limits=limits,
        )
        super().__init__(self._driver)
        self.events = Events(self._driver, source=source, clock=clock)
        self.sessions = Sessions(self._driver)
        self.cache = Cache(self._driver)
        self.state = State(self._driver)
        self.checkpoints = Checkpoints(self._driver)
        self.files = Files(self._driver)
        self.tracker = Tracker(self._driver)
        self.supervision = Supervision(self._driver)

    flush = awaited(calls.flush)
    ask = awaited(calls.ask)

    def ref(self, name: str) -> ActorRef:
        """A reference to any actor by name: pykka's tell, ask, stop and proxy, as coroutines."""
        return ActorRef(name, self._driver)

    def counters(self) -> dict[str, Counters]:
        """What became of the messages to each actor so far; "log:read" is a second way to "log"."""
        return self._driver.counters

    async def monitor(self, name: str, *, timeout: float = 30.0) -> AsyncMonitor:
        """Watch an actor's present life: ``ref(name).monitor()``."""
        return await self.ref(name).monitor(timeout=timeout)

    async def close(self, timeout: float = 30.0) -> None:
        """Wait until all that was sent is acknowledged, then disconnect.

        Raises AskTimeout when it is not within ``timeout`` seconds; it is abandoned then.
        """
        try:
            if self._driver.is_open:
                await self._driver.drain(timeout)
        finally:
            self._driver.close()

    def abandon(self) -> None:
        """Disconnect at once; what is not acknowledged is lost."""
        self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            await self.close()
        else:
            # Cancellation is everyday life here: what was sent before it still gets its second.
            with suppress(HoldfastError):
                await self.close(GRACE)


class Events(Awaited, EventCounters):
    """``hub.events``."""

    def __init__(self, driver: LoopDriver, *, source: str, clock: Clock) -> None:
        Awaited.__init__(self, driver)
        self._driver = driver
        link = driver.link("log", pack=event_calls.pack, omit=event_calls.omit).link
        EventCounters.__init__(self, link)
        self._clock = clock
        self._source = source
        self._encoder = EventEncoder(source=source, clock=clock)

    async def emit(
        self,
        type: str,
        data: object = None,
        *,
        session: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        correlation: str | None = None,
        cause: str | Event | None = None,
        key: str | None = None,
        time_us: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Hand an event over; it is committed exactly once as long as this process lives.

        ``key`` is unique per source: a second event with it is not stored.  ``cause`` is the event
        that led to this one, or its key: this one stands below it, and has its ``correlation``
        unless it is given one.  Waits only when the outbox is full and its policy is
        to wait, at most ``timeout`` seconds (None: those of the policy), and now and then for one
        turn of the loop.  The event is queued after that: a cancelled ``emit`` has queued
        nothing.  Raises InvalidInputError, OutboxFullError; then nothing is queued either.
        """
        raw = self._encoder.encode(
            type, data, session, source, subject, correlation, cause, key, time_us
        )
        await self._driver.offer("log", raw, timeout)
        if key is not None:
            self._encoder.remember(key, cause, correlation)

    async def append(
        self,
        stream: str,
        events: Sequence[tuple[str, object]],
        *,
        expected_version: Expected = "any",
        session: str | None = None,
        source: str | None = None,
        correlation: str | None = None,
        cause: str | Event | None = None,
        timeout: float = 30.0,
    ) -> int:
        """Append all of ``(type, data)`` to a stream, or nothing; its new version, after COMMIT.

        ``expected_version`` is the number of events appended to it before, "none" or 0 for a
        stream that is not there yet, or "any".  Appended exactly once as long as this process
        lives.  Raises Conflict, with both versions; InvalidInputError.
        """
        call = stream_calls.append_stream(
            self._encoder,
            stream,
            events,
            expected_version,
            session,
            source,
            correlation,
            cause,
            timeout,
        )
        return await self._runner.run(call)

    read_stream = awaited(stream_calls.read_stream)
    stream_version = awaited(stream_calls.stream_version)
    query = awaited(event_calls.query_events)
    count = awaited(event_calls.count_events)
    tail = awaited(event_calls.tail_events)
    get = awaited(event_calls.get_event)
    cursor = awaited(event_calls.cursor_of_newest)
    chain = awaited(tree_calls.chain_of)
    tree = awaited(tree_calls.tree_around)
    aggregate = awaited(tree_calls.aggregate_events)
    search = awaited(text_calls.search_events)

    def subscribe(
        self,
        *,
        start: Start = "now",
        name: str | None = None,
        max_in_flight: int = PAGE,
        rate: float | None = None,
        burst: int | None = None,
        on_gap: OnGap | None = None,
        change_filter: bool = False,
        timeout: float = 30.0,
        **selection: Unpack[Selection],
    ) -> AsyncSubscription:
        """Every committed event that matches, each once and in order: history, then live.

        The selection is ``types`` (globs), ``session``, ``source``, ``subject``, ``correlation``.
        ``start`` is "first", "now" (its first step), the number of an event, excluded, a cursor or
        a datetime.  Under a ``name`` the position is kept in the database: it goes on where
        acknowledgements end, takes the name over from an earlier consumer, and has at most
        ``max_in_flight`` events out that are not acknowledged.
        ``rate`` is how many are handed out a second, ``burst`` (a second's worth) at once.
        ``on_gap`` is called with a Gap for events that were deleted before they came.
        ``timeout`` bounds each answer, across restarts too; what raises AskTimeout can go on.
        """
        following = following_of(
            start=start,
            name=name,
            change_filter=change_filter,
            max_in_flight=max_in_flight,
            rate=rate,
            burst=burst,
            on_gap=on_gap,
            timeout=timeout,
            owner=self._source,
            clock=self._clock,
            **selection,
        )
        return AsyncSubscription(following, runner=self._driver)

    subscribers = awaited(subscriber_calls.list_subscribers)
    unsubscribe = awaited(subscriber_calls.remove_subscriber)

    def follow(
        self,
        *,
        after: int | str | None = None,
        timeout: float = 30.0,
        **selection: Unpack[Selection],
    ) -> AsyncSubscription:
        """Every committed event that matches, as they come, without end: ``async for`` it.

        Behind number or cursor ``after``; without it, from the first step on.  ``subscribe`` can
        do more.
        """
        start: Start = "now" if after is None else after
        return self.subscribe(start=start, timeout=timeout, **selection)
