"""Server-sent events: a subscription for as long as its connection.

A page of events is held for each, and nothing in the log; the next one is fetched when the one
before has left.  Who does not read is cut off by the connection's own clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.event_calls import LANE, Event
from holdfast.actors.following import Gap, Start, following_of
from holdfast.actors.messages import log, query
from holdfast.clock import SystemClock
from holdfast.errors import (
    AskTimeoutError,
    CapacityError,
    CursorError,
    HoldfastError,
    InvalidInputError,
)
from holdfast.http.figures import HttpFigures
from holdfast.http.handlers import as_event, position_of, selection_of
from holdfast.http.hub import DoorHub
from holdfast.http.requests import StreamEvents
from holdfast.storage import jsontext
from holdfast.storage.filters import EventFilter

__all__ = ["Streams"]

PAGE: Final = 100  # events, each up to a MiB
PATIENCE: Final = 30.0  # seconds for an answer of the log, which is asked again then
RETRY: Final = b"retry: 1000\n\n"  # milliseconds until a browser connects again
HEARTBEAT: Final = b": still here\n\n"
LINE_ENDS: Final = (
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
    ("\x85".encode(), b"\\u0085"),
)
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Streams:
    """Those that are open."""

    def __init__(
        self, *, hub: DoorHub, max_streams: int, heartbeat: float, figures: HttpFigures
    ) -> None:
        self._hub, self._max_streams, self._heartbeat = hub, max_streams, heartbeat
        self._figures = figures
        self._open: set[asyncio.Task[None]] = set()
        self._taken = 0  # of max_streams: those that begin are not open yet
        self._leaving: set[asyncio.Task[None]] = set()  # kept, or the loop forgets them

    def close(self) -> None:
        """End them: clients connect again, and go on behind the last id that they have seen."""
        for task in self._open:
            task.cancel()

    def _leave(self, stream: _Stream) -> None:
        task = asyncio.create_task(stream.leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def serve(
        self,
        request: StreamEvents,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        shared: dict[str, str],
    ) -> None:
        """Until the client goes.  Raises CapacityError, InvalidInputError before it begins."""
        if self._taken >= self._max_streams:
            raise CapacityError(
                f"{self._max_streams} streams are open, [http] max_streams: try again later"
            )
        self._taken += 1
        try:
            stream = _Stream(self._hub, request, send, self._figures)
            await stream.begin()
            await self._serve(stream, scope, receive, send, shared)
        finally:
            self._taken -= 1

    async def _serve(
        self,
        stream: _Stream,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        shared: dict[str, str],
    ) -> None:
        more = [(name.encode(), value.encode()) for name, value in shared.items()]
        await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, *more]})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        task = asyncio.create_task(stream.run(self._heartbeat))
        self._open.add(task)
        self._figures.streams = len(self._open)
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (task, gone):
                each.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)
            self._open.discard(task)
            self._figures.streams = len(self._open)
            self._leave(stream)
        with suppress(RuntimeError):  # it is gone
            await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Stream:
    """One of them: where it stands, and what was deleted before it came there."""

    def __init__(
        self, hub: DoorHub, request: StreamEvents, send: Send, figures: HttpFigures
    ) -> None:
        # A browser that connects again sends both: the header is the newer one.
        self._after = position = position_of(request.last_event_id or request.after)
        start: Start = "now" if position is None else position
        self._gaps: list[Gap] = []
        self._hub, self._send, self._figures = hub, send, figures
        self._following = following_of(
            start=start,
            name=None,
            change_filter=False,
            max_in_flight=PAGE,
            rate=None,
            burst=None,
            on_gap=self._gaps.append,
            timeout=PATIENCE,
            owner="http",
            clock=SystemClock(),
            **selection_of(request),
        )

    async def begin(self) -> None:
        """Take the position: what is committed from now on is in the stream."""
        if isinstance(self._after, int):
            await self._hub.run(_exists(self._after))
        await self._hub.run(self._following.begin())

    async def leave(self) -> None:
        """Nobody reads it any more."""
        with suppress(HoldfastError):
            await self._hub.run(self._following.leave())

    async def run(self, heartbeat: float) -> None:
        """Events, gaps and heartbeats as they come."""
        await self._write(RETRY)
        coming: asyncio.Task[list[Event]] | None = None
        try:
            while True:
                coming = coming or asyncio.create_task(self._next_page())
                done, _ = await asyncio.wait([coming], timeout=heartbeat)
                if not done:
                    await self._write(HEARTBEAT)
                    continue
                try:
                    page = coming.result()
                except HoldfastError as error:
                    await self._write(_told("end", {"error": str(error)}))
                    return
                finally:
                    coming = None
                await self._hand_out(page)
        finally:
            if coming is not None:
                coming.cancel()

    async def _next_page(self) -> list[Event]:
        while True:
            with suppress(AskTimeoutError):  # the log is not there: it is asked again
                return await self._hub.run(self._following.next_page())

    async def _hand_out(self, page: list[Event]) -> None:
        for event in page:
            await self._tell_of_gaps(event.seq)
            await self._write(_told("", as_event(event), event.seq))
            self._figures.pushed += 1
        await self._tell_of_gaps(None)

    async def _tell_of_gaps(self, before: int | None) -> None:
        """As data, in their place among the events."""
        while self._gaps and (before is None or self._gaps[0].first < before):
            gap = self._gaps.pop(0)
            await self._write(_told("gap", {"first": gap.first, "last": gap.last}, gap.last))

    async def _write(self, text: bytes) -> None:
        await self._send({"type": "http.response.body", "body": text, "more_body": True})


def _exists(number: int) -> Steps[None]:
    """Raise CursorError where no event has come so far: its client would wait and miss others."""
    reply = yield Ask(LANE, log.Fetch(0, EventFilter()), PATIENCE)
    if number <= reply.upto:
        return
    stands = (yield Ask("query", query.GetPosition(), PATIENCE)).position
    if number > stands.last_seq:
        raise CursorError(str(number), current=f"{stands.epoch}.{stands.last_seq}")


def _told(name: str, data: dict[str, Any], seq: int | None = None) -> bytes:
    """One event of the stream; JSON has no line ends, so its data is one line.

    Nor has it what some clients take for one, though the standard of these streams does not.
    """
    try:
        text = jsontext.encode_utf8(data, "event", depth=jsontext.MAX_DEPTH + 2)
    except InvalidInputError as error:
        text = jsontext.encode_utf8({"error": str(error)})
    for end, escaped in LINE_ENDS:
        text = text.replace(end, escaped)
    lines = [b"data: " + text, b"", b""]
    if seq is not None:
        lines.insert(0, b"id: %d" % seq)
    if name:
        lines.insert(0, b"event: " + name.encode())
    return b"\n".join(lines)
