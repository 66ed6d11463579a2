"""What waits for the disk, when there is no thread for it, and when the disk takes too long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from loguru import logger

from holdfast.actors.disk_thread import SLOW
from holdfast.actors.messages.writer import Synced
from holdfast.actors.syncing import DiskDone, SyncDue, Syncing
from holdfast.testing.clock import ManualClock


class Asked:
    """Of a delivery, what it takes to be answered."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    def set(self, value: Any) -> None:
        self.answers.append(value)


class Box:
    """Of a mailbox, likewise; nothing is delivered by itself."""

    def __init__(self) -> None:
        self.due: list[tuple[float, object]] = []

    def after(self, delay: float, message: object) -> Any:
        self.due.append((delay, message))

    def watch(self, fd: int, read: Callable[[], Iterable[object]]) -> None:
        self.read = read


def syncing(wait: Callable[[], None], clock: ManualClock, box: Box) -> Syncing:
    return Syncing(
        begin=lambda: wait, on_full=lambda error: None, interval=1.0, box=box, clock=clock
    )


def test_without_a_thread_the_writer_waits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    waits: list[int] = []
    asked: Any = Asked()
    syncing(lambda: waits.append(threading.get_ident()), ManualClock(), Box()).ask(asked)
    assert waits == [threading.get_ident()]
    assert asked.answers == [Synced()]


def test_a_disk_that_takes_too_long_is_told_once() -> None:
    told: list[str] = []
    sink = logger.add(told.append, level="WARNING")
    clock, box, released = ManualClock(), Box(), threading.Event()
    waiting = syncing(lambda: released.wait(), clock, box)  # type: ignore[arg-type]  # its answer is nobody's
    waiting.later()
    waiting.later()
    assert box.due == [(1.0, SyncDue())]
    for _ in range(3):
        waiting.due()
        clock.advance(SLOW + 1.0)
    assert len([text for text in told if "the disk takes over 10 s" in text]) == 1
    logger.remove(sink)
    released.set()
    waiting.stop()


def test_who_asks_during_a_wait_is_answered_by_the_next() -> None:
    box, turns = Box(), threading.Semaphore(0)
    waiting = syncing(lambda: turns.acquire(), ManualClock(), box)  # type: ignore[arg-type]  # likewise
    first: Any = Asked()
    second: Any = Asked()
    waiting.ask(first)
    waiting.ask(second)
    waiting.done(DiskDone(None))
    assert (first.answers, second.answers) == ([Synced()], [])
    waiting.done(DiskDone(None))
    assert second.answers == [Synced()]
    turns.release(2)
    waiting.stop()
