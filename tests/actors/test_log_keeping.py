"""What becomes of a checkpoint that a thread makes: finished, refused by the disk, or by nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from loguru import logger

from holdfast.actors.disk_thread import SLOW
from holdfast.actors.log_keeping import CheckpointDone, LogKeeping
from holdfast.errors import DiskFullError, StorageError
from holdfast.storage.ports import Wal
from holdfast.testing.clock import ManualClock

TIMEOUT = 20.0  # seconds; a bound of failure


class Box:
    """Of a mailbox, what it takes; nothing is delivered by itself."""

    def watch(self, fd: int, read: Callable[[], Iterable[object]]) -> None:
        self.read = read


class Log:
    """Of a database, what it takes: a checkpoint is due until it was begun."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work
        self.calls: list[str] = []

    def begin_checkpoint(self) -> Callable[[], None] | None:
        work, self.work = self.work, None
        return work

    def cut_checkpoint_short(self) -> None:
        self.calls.append("cut short")

    def checkpoint(self, *, is_hurried: bool = False, is_pressed: bool = False) -> Wal:
        self.calls.append("hurried" if is_hurried else "pressed" if is_pressed else "checkpoint")
        return Wal(0, 0, 0)


def keeping(work: Callable[[], None], clock: ManualClock | None = None) -> tuple[LogKeeping, Log]:
    log: Any = Log(work)
    return LogKeeping(database=lambda: log, box=Box(), clock=clock or ManualClock()), log


def test_the_thread_does_the_long_part_and_the_writer_the_rest() -> None:
    threads: list[int] = []
    kept, log = keeping(lambda: threads.append(threading.get_ident()))
    kept.look()
    kept.stop()
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
    kept.done(CheckpointDone(None))
    assert log.calls == ["checkpoint", "cut short", "checkpoint"]


def test_without_a_thread_the_writer_does_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    threads: list[int] = []
    kept, log = keeping(lambda: threads.append(threading.get_ident()))
    kept.look()
    assert threads == [threading.get_ident()]
    assert log.calls == ["checkpoint"]


def test_who_is_pressed_begins_nothing_long() -> None:
    kept, log = keeping(lambda: pytest.fail("begun"))
    kept.look(is_pressed=True)
    assert log.calls == ["pressed"]
    assert log.work is not None


def test_who_is_hurried_leaves_what_takes_long_to_the_thread() -> None:
    """Else nobody would copy it, where nothing but retention writes."""
    threads: list[int] = []
    kept, log = keeping(lambda: threads.append(threading.get_ident()))
    kept.look(is_hurried=True)
    kept.stop()
    assert threads != [threading.get_ident()]
    assert log.calls == ["hurried", "cut short"]


def test_a_full_disk_is_made_room_on_and_any_other_error_is_the_writers_end() -> None:
    kept, log = keeping(lambda: None)
    kept.done(CheckpointDone(DiskFullError("full")))
    assert log.calls == ["pressed"]
    with pytest.raises(StorageError, match="broken"):
        kept.done(CheckpointDone(StorageError("broken")))


def test_a_thread_that_does_not_come_back_is_told_once() -> None:
    """Nothing else would be seen of it but a log that grows."""
    told: list[str] = []
    sink = logger.add(told.append, format="{message}", level="WARNING")
    may_end, clock = threading.Event(), ManualClock()
    kept, _ = keeping(lambda: assert_set(may_end), clock)
    try:
        kept.look()
        clock.advance(SLOW)
        kept.look()
        assert not told
        clock.advance(1.0)
        kept.look()
        kept.look(is_hurried=True)
        assert [line for line in told if "takes over 10 s" in line] == told != []
        assert len(told) == 1
        kept.done(CheckpointDone(None))
        kept.look()
        assert len(told) == 1
    finally:
        logger.remove(sink)
        may_end.set()
        kept.stop()


def assert_set(event: threading.Event) -> None:
    assert event.wait(TIMEOUT)
