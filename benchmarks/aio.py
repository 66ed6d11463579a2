"""The round trip of an ask in an asyncio program, beside asyncio's own streams on a bare socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import holdfast
from benchmarks.ask import FRAME, PAYLOAD
from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, compare, interleave
from benchmarks.peers import peer

__all__ = ["run"]

T = TypeVar("T")

ASKS: Final = 200  # a round: some 20 ms
BOUND: Final = 1.5


def run(budget: Budget) -> list[Figure]:
    """From an asyncio program to an agent and to a state actor."""
    with (
        running_daemon(echo="Echo") as daemon,
        peer("echo") as sock,
        asyncio.Runner() as runner,
    ):
        streams = runner.run(_open(asyncio.open_unix_connection(sock=sock)))
        hub = runner.run(_open(holdfast.aio.connect(daemon.run_dir, source="agent/benchmark")))
        echo = hub.ref("echo")
        runner.run(hub.sessions.put("present", {"user": "ana"}))
        try:
            floor, program, session = interleave(
                budget.seconds,
                lambda: runner.run(_timed(lambda: _ping(*streams))),
                lambda: runner.run(_timed(lambda: echo.ask(PAYLOAD, timeout=10.0))),
                lambda: runner.run(_timed(lambda: hub.sessions.get("present"))),
            )
        finally:
            streams[1].close()
            runner.run(hub.close())
    return [
        compare("aio: program to agent", "us", program, floor, bound=BOUND),
        compare("aio: session get", "us", session, floor, bound=BOUND),
    ]


async def _open(opening: Awaitable[T]) -> T:
    """As a coroutine, which is what a runner takes."""
    return await opening


async def _timed(call: Callable[[], Awaitable[object]]) -> Round:
    """Microseconds of each of the calls, one after the other."""
    samples = []
    for _ in range(ASKS):
        began = time.perf_counter_ns()
        await call()
        samples.append((time.perf_counter_ns() - began) / 1000)
    return samples


async def _ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """There and back, as asyncio's documentation shows it."""
    writer.write(FRAME)
    await writer.drain()
    await reader.readexactly(len(FRAME))
