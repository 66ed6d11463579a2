"""A sender as a process of its own: ``python -m tests.actors.sending RUN_DIR JSON``.

It sends numbered messages, waits until they are acknowledged, and prints what became of them.
With ``stay`` it says what became of them at once, and flushes and ends when its input ends.
With ``flush_every`` it goes on without end, until its input ends.
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

import holdfast
from holdfast.actors.outbox import Policy
from holdfast.errors import OutboxFullError
from tests import forkserver
from tests.daemon import TIMEOUT, Daemon

ROOT = Path(__file__).resolve().parents[2]


class Order(msgspec.Struct, kw_only=True):
    """What a sender is to do: ``count`` events, or tells to the agent ``to``."""

    name: int
    count: int
    to: str | None = None
    size: int = 0  # bytes of padding of each event
    stay: bool = False
    flush_every: int = 0
    timeout: float = TIMEOUT
    outbox_messages: int | None = None
    outbox_policy: Policy = "block"
    outbox_timeout: float = TIMEOUT


class Outcome(msgspec.Struct):
    """What became of it; ``sent`` by the end of the loop, the rest after the flush."""

    sent: int
    rejected: int
    dropped: int
    duplicates: int
    pending: int


def _send_without_end(hub: holdfast.Hub, order: Order) -> None:
    padding = "x" * order.size
    n = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _ in range(order.flush_every):
            hub.events.emit("n", n, session=padding or None)
            n += 1
        hub.flush(timeout=order.timeout)
    _say(hub, n, 0)


def _send(hub: holdfast.Hub, order: Order) -> tuple[int, int]:
    """How many were sent, and how many found no room."""
    rejected = 0
    ref = hub.ref(order.to) if order.to else None
    padding = "x" * order.size
    for n in range(order.count):
        try:
            if ref is not None:
                ref.tell([order.name, n])
            else:
                hub.events.emit("n", n, session=padding or None)
        except OutboxFullError:
            rejected += 1
    return order.count - rejected, rejected


def main() -> None:
    run_dir, order = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Order)
    hub = holdfast.connect(
        run_dir,
        source=f"s{order.name}",
        outbox_messages=order.outbox_messages,
        outbox_policy=order.outbox_policy,
        outbox_timeout=order.outbox_timeout,
    )
    with hub:
        if order.flush_every:
            _send_without_end(hub, order)
            return
        sent, rejected = _send(hub, order)
        if order.stay:
            _say(hub, sent, rejected)
            sys.stdin.read()
        hub.flush(timeout=order.timeout)
        _say(hub, sent, rejected)


def _say(hub: holdfast.Hub, sent: int, rejected: int) -> None:
    events = hub.events
    outcome = Outcome(sent, rejected, events.dropped, events.duplicates, events.pending)
    print(msgspec.json.encode(outcome).decode(), flush=True)


class Sender:
    """Such a process, as a test sees it."""

    def __init__(self, daemon: Daemon, order: Order) -> None:
        self._timeout = order.timeout
        self.process = forkserver.Popen[bytes](
            [
                "tests.actors.sending",
                str(daemon.run_dir),
                msgspec.json.encode(order).decode(),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def outcome(self) -> Outcome:
        """The next one that it prints."""
        assert self.process.stdout is not None
        return msgspec.json.decode(self.process.stdout.readline(), type=Outcome)

    def finish(self) -> Outcome:
        """Let it flush and end; what it says then."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        outcome = self.outcome()
        assert self.process.wait(self._timeout) == 0
        return outcome

    def close(self) -> None:
        """Whatever it does, it ends."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def senders(daemon: Daemon, orders: Sequence[Order]) -> Iterator[list[Sender]]:
    """One process for each order."""
    started: list[Sender] = []
    try:
        for order in orders:
            started.append(Sender(daemon, order))
        yield started
    finally:
        for sender in started:
            sender.close()


def orders(many: int, /, **what: Any) -> list[Order]:
    """The same for so many senders, with names of their own."""
    return [Order(name=name, **what) for name in range(many)]


if __name__ == "__main__":
    main()
