"""xoscar's side of the peers: an actor in a sub-process of a pool, called from the pool's own.

``python -m benchmarks.peer_xoscar FD``, driven by ``peers``.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, Final

import msgspec
import xoscar as xo

from benchmarks.driven import serve, taken_over
from benchmarks.kills import kill_and_see
from benchmarks.material import MESSAGE

__all__ = ["Receiver", "main"]

# A port that is free, on the loopback: between the processes of a pool xoscar uses Unix sockets.
ADDRESS: Final = "127.0.0.1:0"
PER_BATCH: Final = 64  # calls
RETRY: Final = 0.001  # seconds between two calls of who waits for a restart
DEADLINE: Final = 30.0  # seconds


class Receiver(xo.Actor):  # type: ignore[misc]  # mypy does not look into peers
    """Counts what it is told, and returns what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def told(self, _message: Any) -> None:
        """One more."""
        self._count += 1

    @xo.extensible  # type: ignore[untyped-decorator]  # likewise
    def told_together(self, message: Any) -> None:
        """One more, of several calls that came in one message."""
        self._count += 1

    def count(self) -> int:
        """How many so far."""
        return self._count

    def echo(self, message: Any) -> Any:
        """The message."""
        return message

    def pid(self) -> int:
        """Its process."""
        return os.getpid()


def main() -> None:
    """Measure as often as asked."""
    from benchmarks.peer_xoscar import Receiver as Imported  # not __main__'s: it is pickled

    with taken_over() as control, asyncio.Runner() as runner:
        # It tells of every call that a killed process had under way: futures nobody waits for.
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        pool = runner.run(xo.create_actor_pool(ADDRESS, n_process=1))
        try:
            where = xo.allocate_strategy.ProcessIndex(1)
            receiver = runner.run(
                xo.create_actor(Imported, address=pool.external_address, allocate_strategy=where)
            )
            serve(
                control,
                {
                    "tell": lambda count: runner.run(tell(receiver, count)),
                    "batched": lambda count: runner.run(tell_batched(receiver, count)),
                    "ask": lambda count: runner.run(ask(receiver, count)),
                    "restart": lambda count: runner.run(restart(receiver, count)),
                },
            )
        finally:
            runner.run(pool.stop())


async def tell(receiver: Any, count: int) -> list[float]:
    """Messages a second, until all are handled."""
    before = await receiver.count()
    began = time.perf_counter()
    for _ in range(count):
        await receiver.told.tell(MESSAGE)
    while await receiver.count() < before + count:
        pass
    return [count / (time.perf_counter() - began)]


async def tell_batched(receiver: Any, count: int) -> list[float]:
    """The same with its own means to put several calls in one message."""
    # Copies that share no text: pickle writes what occurs twice in a batch only once.
    encoded = msgspec.msgpack.encode(MESSAGE)
    messages = [msgspec.msgpack.decode(encoded) for _ in range(PER_BATCH)]
    before = await receiver.count()
    began = time.perf_counter()
    for _ in range(count // PER_BATCH):
        calls = [receiver.told_together.delay(message) for message in messages]
        await receiver.told_together.batch(*calls, send=False)
    while await receiver.count() < before + count:
        pass
    return [count / (time.perf_counter() - began)]


async def ask(receiver: Any, count: int) -> list[float]:
    """Microseconds of each round trip."""
    samples = []
    for _ in range(count):
        began = time.perf_counter_ns()
        await receiver.echo("x" * 64)
        samples.append((time.perf_counter_ns() - began) / 1000)
    return samples


async def restart(receiver: Any, count: int) -> list[float]:
    """Milliseconds from each SIGKILL of the sub-process until the same reference answers.

    By default a pool starts a lost process again, with its actors; it looks every half second.
    To ask again and again is faster than its ``wait_actor_pool_recovered``.
    """
    samples = []
    for _ in range(count):
        descriptor = os.pidfd_open(await receiver.pid())
        began = time.perf_counter()
        kill_and_see(descriptor)
        while not await _answers(receiver):
            if time.perf_counter() - began > DEADLINE:
                raise TimeoutError("xoscar does not restart it")
            await asyncio.sleep(RETRY)
        samples.append((time.perf_counter() - began) * 1000)
    return samples


async def _answers(receiver: Any) -> bool:
    try:
        await receiver.echo("there?")
    except (xo.ServerClosed, xo.ActorNotExist, OSError):  # nothing there yet, or half of it
        return False
    return True


if __name__ == "__main__":
    main()
