"""xoscar's side of the peers: an actor in a sub-process of a pool, called from the pool's own.

``python -m benchmarks.peer_xoscar FD``, driven by ``peers``.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import msgspec
import xoscar as xo

from benchmarks.driven import serve, taken_over
from benchmarks.material import MESSAGE

__all__ = ["Receiver", "main"]

# A port that is free, on the loopback: between the processes of a pool xoscar uses Unix sockets.
ADDRESS: Final = "127.0.0.1:0"
PER_BATCH: Final = 64  # calls


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


def main() -> None:
    """Measure as often as asked."""
    from benchmarks.peer_xoscar import Receiver as Imported  # not __main__'s: it is pickled

    with taken_over() as control, asyncio.Runner() as runner:
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


if __name__ == "__main__":
    main()
