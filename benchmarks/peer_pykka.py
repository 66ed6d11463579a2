"""pykka's side of the peers: an actor in a thread of the same process.

``python -m benchmarks.peer_pykka FD``, driven by ``peers``.
"""

from __future__ import annotations

import time
from typing import Any

import pykka

from benchmarks.driven import serve, taken_over
from benchmarks.material import MESSAGE
from benchmarks.measure import timed

__all__ = ["Receiver", "main"]


class Receiver(pykka.ThreadingActor):
    """Returns what it is asked; nothing waits for what it does with a tell."""

    def on_receive(self, message: Any) -> Any:
        """The message."""
        return message


def main() -> None:
    """Measure as often as asked."""
    with taken_over() as control:
        receiver = Receiver.start()
        try:
            serve(
                control,
                {
                    "tell": lambda count: tell(receiver, count),
                    "ask": lambda count: timed(count, lambda: receiver.ask("x" * 64)),
                },
            )
        finally:
            receiver.stop()


def tell(receiver: pykka.ActorRef[Receiver], count: int) -> list[float]:
    """Messages a second, until all are handled."""
    began = time.perf_counter()
    for _ in range(count):
        receiver.tell(MESSAGE)
    receiver.ask(None)
    return [count / (time.perf_counter() - began)]


if __name__ == "__main__":
    main()
