"""A disk that takes its time to sync: who did not ask for that does not wait for it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import holdfast
from holdfast.actors.messages.writer import Stats, WriterStats
from holdfast.testing.faults import DiskFault
from tests.actors.overloading import rows
from tests.actors.test_full_disk import small_disk
from tests.daemon import ForkedDaemon as Daemon

NEVER_BY_ITSELF = "[storage]\nsync_interval = 3600.0\n"
SLOW = 3.0  # seconds of a sync; less than any deadline here


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Its log has been synced once, so that syncs are made beside the connection."""
    with Daemon(tmp_path, NEVER_BY_ITSELF, faults=[]) as daemon:
        daemon.hub.state.create("task", {"n": 1}, id="t")
        assert daemon.hub.flush("disk", timeout=daemon.timeout) == "disk"
        yield daemon


def flush_later(daemon: Daemon, levels: list[str]) -> threading.Thread:
    """Another program, which has an event and wants it on the disk."""

    def flush() -> None:
        with holdfast.connect(daemon.run_dir) as hub:
            hub.events.emit("note", {})
            levels.append(hub.flush("disk", timeout=daemon.timeout))

    thread = threading.Thread(target=flush)
    thread.start()
    return thread


def slow_sync(daemon: Daemon, times: int = 2) -> str:
    slow = DiskFault(
        process="writer", does="slow", operation="sync", file="*-wal", seconds=SLOW, times=times
    )
    (id,) = daemon.faults.arm(slow)
    return id


def test_a_commit_does_not_wait_while_the_disk_syncs(daemon: Daemon) -> None:
    hub, levels = daemon.hub, list[str]()
    hub.state.update("t", {"n": 2})
    slow = slow_sync(daemon)
    flushing = flush_later(daemon, levels)
    daemon.until(lambda: len(daemon.faults.injected(slow)) == 1)
    for n in range(3, 13):
        hub.state.update("t", {"n": n}, timeout=daemon.timeout)
    assert levels == [], "ten commits took longer than the sync that they are not to wait for"
    flushing.join(daemon.timeout)
    assert levels == ["disk"]


def test_what_is_committed_during_a_sync_is_on_the_disk_only_after_the_next(
    daemon: Daemon,
) -> None:
    hub, first, second = daemon.hub, list[str](), list[str]()
    hub.state.update("t", {"n": 2})
    slow = slow_sync(daemon)
    flushing = flush_later(daemon, first)
    daemon.until(lambda: len(daemon.faults.injected(slow)) == 1)
    hub.state.update("t", {"n": 3}, timeout=daemon.timeout)
    also = flush_later(daemon, second)
    daemon.until(lambda: len(daemon.faults.injected(slow)) == 2)
    daemon.until(lambda: first == ["disk"])
    assert second == [], "answered by a sync that began before the commit"
    for thread in (flushing, also):
        thread.join(daemon.timeout)
    assert second == ["disk"]


def test_a_stop_waits_for_the_sync_and_leaves_one_file(daemon: Daemon, tmp_path: Path) -> None:
    daemon.hub.state.update("t", {"n": 2})
    slow = slow_sync(daemon, times=1)  # else a stop does not wait so long
    flushing = flush_later(daemon, [])
    daemon.until(lambda: len(daemon.faults.injected(slow)) == 1)
    daemon.stop()
    flushing.join(daemon.timeout)
    assert not (tmp_path / "var" / "lib" / "holdfast.db-wal").exists()


def test_a_sync_that_fails_ends_the_writer_and_the_one_who_asked_is_told_of_the_next(
    daemon: Daemon,
) -> None:
    pid = daemon.pid("writer")
    daemon.hub.state.update("t", {"n": 2})
    broken = DiskFault(process="writer", does="ioerr", operation="sync", file="*-wal")
    daemon.faults.arm(broken)
    assert daemon.hub.flush("disk", timeout=daemon.timeout) == "disk"
    assert daemon.pid("writer") != pid
    kept = daemon.hub.state.get("t")
    assert kept is not None
    assert kept.properties == {"n": 2}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Daemon]:
    """On a disk of 4 MiB: its log is copied whenever it has some hundred pages."""
    with small_disk(tmp_path / "var" / "lib"), Daemon(tmp_path, NEVER_BY_ITSELF, faults=[]) as it:
        it.hub.state.create("task", {"n": 1}, id="t")
        yield it


def log_pages(daemon: Daemon) -> int:
    stats = daemon.hub.ask("writer", Stats(), timeout=daemon.timeout)
    return msgspec.convert(stats, WriterStats).wal_frames


def write_until(daemon: Daemon, has_happened: Callable[[], bool]) -> None:
    for n in itertools.count():
        daemon.hub.state.update("t", {"n": n, "text": "x" * 5_000}, timeout=daemon.timeout)
        if has_happened():
            return


def write_until_injected(daemon: Daemon, fault: DiskFault) -> None:
    """Armed just after the log began anew, so that it meets the next copying from the start."""
    pages = [log_pages(daemon)]

    def began_anew() -> bool:
        pages.append(log_pages(daemon))
        return pages[-1] < pages[-2]

    write_until(daemon, began_anew)
    (id,) = daemon.faults.arm(fault)
    write_until(daemon, lambda: bool(daemon.faults.injected(id)))


def test_a_commit_does_not_wait_while_the_log_is_copied(small: Daemon) -> None:
    slow = DiskFault(process="writer", does="slow", operation="sync", file="holdfast.db",
                     seconds=SLOW, times=1)  # fmt: skip
    write_until_injected(small, slow)
    before = log_pages(small)
    for n in range(10):
        small.hub.state.update("t", {"n": n}, timeout=small.timeout)
    assert log_pages(small) > before, "the log began anew: the commits have waited for its copying"
    small.stop()  # which waits for the copying
    assert not (small.folder / "var" / "lib" / "holdfast.db-wal").exists()


def test_a_writer_that_dies_while_the_log_is_copied_loses_nothing(small: Daemon) -> None:
    pid = small.pid("writer")
    torn = DiskFault(process="writer", does="torn", file="holdfast.db", max_bytes=1_000, nth=3)
    write_until_injected(small, torn)
    small.hub.state.update("t", {"n": 2}, timeout=small.timeout)
    assert small.pid("writer") != pid
    assert rows(small, "PRAGMA integrity_check") == [("ok",)]
    kept = small.hub.state.get("t")
    assert kept is not None
    assert kept.properties["n"] == 2
