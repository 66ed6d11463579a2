"""Subscribers, many to a process: ``python -m benchmarks.subscribing FD RUN_DIR NAME FIRST LAST``.

Driven by ``subscribers``: they subscribe on request, each to a session of its own, and one of
each process to the events of all these sessions if NAME is "all"; then they say what came.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from array import array
from typing import Any, Final

import holdfast
from benchmarks.driven import serve, taken_over
from benchmarks.material import TYPE
from holdfast import aio

__all__ = ["END", "SESSIONS", "main"]

SESSIONS: Final = 100  # event n of a round is of session n modulo this
END: Final = "end"  # the type of the last event of a round, which goes to every session
SAMPLES: Final = 1_000  # of the delays of a process, spread over all of them
LATE: Final = 60.0  # seconds until a round that has no end has failed


class Subscribers:
    """The loop with all of them, in a thread of its own."""

    def __init__(self, run_dir: str, sessions: list[str | None]) -> None:
        self._run_dir = run_dir
        self._sessions = sessions
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._hub: aio.Hub | None = None
        self._tasks: list[asyncio.Future[tuple[list[int], array[int]]]] = []

    def subscribe(self, _count: int) -> None:
        """Everybody stands at the newest event when it returns."""
        asyncio.run_coroutine_threadsafe(self._subscribe(), self._loop).result(LATE)

    def collect(self, count: int) -> tuple[int, list[int]]:
        """Of ``count`` events: how many did not come as they should; some delays in us."""
        found = asyncio.run_coroutine_threadsafe(self._collect(), self._loop).result(LATE)
        wrong = 0
        lags: list[int] = []
        for session, (seen, late) in zip(self._sessions, found, strict=True):
            first, step = (0, 1) if session is None else (int(session[1:]), SESSIONS)
            expected = list(range(first, count, step))
            if seen != expected:
                wrong += max(1, abs(len(expected) - len(seen)))
            lags += late
        lags.sort()
        return wrong, lags[:: max(1, len(lags) // SAMPLES)]

    async def _subscribe(self) -> None:
        if self._hub is None:
            self._hub = await aio.connect(self._run_dir)
        for session in self._sessions:
            types = (TYPE, END) if session is None else ()
            subscription = await self._hub.events.subscribe(types=types, session=session)
            self._tasks.append(asyncio.ensure_future(_read(subscription)))

    async def _collect(self) -> list[tuple[list[int], array[int]]]:
        tasks, self._tasks = self._tasks, []
        return await asyncio.wait_for(asyncio.gather(*tasks), LATE)


async def _read(subscription: aio.AsyncSubscription) -> tuple[list[int], array[int]]:
    """Up to the last of its events."""
    seen: list[int] = []
    lags: array[int] = array("q")
    async for event in subscription:
        lags.append(time.time_ns() // 1000 - event.time_us)
        if event.type == END:
            return seen, lags
        seen.append(event.data["n"])
    raise holdfast.DeliveryError("the subscription ended")


def main() -> None:
    """Serve until the benchmark ends."""
    run_dir, name, first, last = sys.argv[2:]
    sessions: list[str | None] = [f"s{n}" for n in range(int(first), int(last))]
    if name == "all":
        sessions.append(None)
    subscribers = Subscribers(run_dir, sessions)
    work: dict[str, Any] = {"subscribe": subscribers.subscribe, "collect": subscribers.collect}
    with taken_over() as control:
        serve(control, work)


if __name__ == "__main__":
    main()
