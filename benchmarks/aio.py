"""The round trip of an ask in an asyncio program, beside asyncio's own streams on a bare socket.

On one core and on two: where the scheduler puts the two processes decides more than what they do,
so it is told where.

The floor depends on malloc: streams read into 256 KiB, which costs a map and an unmap per read
(20 us here) until the process has once freed a larger block.  Without that cost
(MALLOC_MMAP_THRESHOLD_=33554432) the floor is 20 us on one core instead of 48; ours is 52 in both.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Final, TypeVar

import holdfast
from benchmarks.ask import FRAME, PAYLOAD
from benchmarks.bare import peer
from benchmarks.cores import on_core, pin, placements
from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, compare, interleave

__all__ = ["run"]

T = TypeVar("T")

ASKS: Final = 200  # a round: some 20 ms
BOUND: Final = 1.5


def run(budget: Budget) -> list[Figure]:
    """From an asyncio program to an agent and to a state actor."""
    with running_daemon({"echo": "agents:Echo"}) as daemon:
        with daemon.connect() as hub:
            pids = daemon.pids(hub)
            hub.sessions.put("present", {"user": "ana"}, durability="committed")
        figures = []
        for where, here, there in placements():
            pin([pids["echo"], pids["sessions"]], there)
            with on_core(here), asyncio.Runner() as runner:
                rounds = _measure(runner, daemon.run_dir, budget.seconds / 2, there)
            floor, agent, session = rounds
            figures += [
                compare(f"aio ask: agent, {where}", "us", agent, floor, bound=BOUND),
                compare(f"aio ask: session get, {where}", "us", session, floor, bound=BOUND),
            ]
    return figures


def _measure(
    runner: asyncio.Runner,
    run_dir: os.PathLike[str],
    seconds: float,
    core: int,
) -> list[list[Round]]:
    """Streams, agent, session; the other side of each runs on ``core``."""
    with ExitStack() as stack:
        with on_core(core):  # a child inherits where it may run
            sock = stack.enter_context(peer("echo"))
        streams = runner.run(_opened(asyncio.open_unix_connection(sock=sock)))
        hub = runner.run(_opened(holdfast.aio.connect(run_dir, source="agent/benchmark")))
        echo = hub.ref("echo")
        try:
            return interleave(
                seconds,
                lambda: runner.run(_timed(lambda: _ping(*streams))),
                lambda: runner.run(_timed(lambda: echo.ask(PAYLOAD, timeout=10.0))),
                lambda: runner.run(_timed(lambda: hub.sessions.get("present"))),
            )
        finally:
            streams[1].close()
            runner.run(hub.close())


async def _opened(opening: Awaitable[T]) -> T:
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
