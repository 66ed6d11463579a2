"""A daemon whose disk is full, breaks, tears or is slow, as the fault rig has it (scenario D3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import DiskFullError, StorageError
from holdfast.testing.faults import DiskFault
from tests.actors.overloading import check_conservation, emit, rows
from tests.daemon import ForkedDaemon as Daemon

# So that barriers fall into the time of the fault.
BARRIERS = "[storage]\nsync_interval = 0.05\n"
# So that only commits meet it.
NO_BARRIERS = "[storage]\nsync_interval = 3600.0\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, BARRIERS, faults=[]) as daemon:
        daemon.hub.flush()
        yield daemon


def arm(daemon: Daemon, fault: DiskFault) -> str:
    (id,) = daemon.faults.arm(fault)
    return id


def check_all_is_there(daemon: Daemon) -> None:
    assert daemon.hub.flush("disk", timeout=daemon.timeout) == "disk"
    check_conservation(daemon, daemon.hub)
    assert daemon.hub.events.dropped == 0
    assert rows(daemon, "PRAGMA integrity_check") == [("ok",)]


def test_a_full_disk_is_said_told_to_askers_and_recovered_from_without_a_restart(
    daemon: Daemon,
) -> None:
    hub, pids = daemon.hub, {name: daemon.pid(name) for name in ("log", "writer")}
    full = arm(daemon, DiskFault(process="writer", does="full", file="*-wal", times=0))
    emit(hub, 0, 50)
    with pytest.raises(DiskFullError, match="free some space"):
        hub.state.create("task", {"n": 1}, id="t", timeout=daemon.timeout)
    daemon.until(lambda: "disk is full" in daemon.log)
    count = len(daemon.faults.injected(full))
    daemon.until(lambda: len(daemon.faults.injected(full)) > count + 2)  # it goes on trying
    assert hub.events.pending == 50
    daemon.faults.disarm()
    check_all_is_there(daemon)
    assert hub.state.create("task", {"n": 1}, id="t", timeout=daemon.timeout).version == 1
    assert {name: daemon.pid(name) for name in pids} == pids


def test_an_error_of_the_disk_in_a_commit_is_made_good_by_the_next_try(tmp_path: Path) -> None:
    with Daemon(tmp_path, NO_BARRIERS, faults=[]) as daemon:
        daemon.hub.flush()
        pid = daemon.pid("writer")
        broken = arm(daemon, DiskFault(process="writer", does="ioerr", file="*-wal", nth=2))
        emit(daemon.hub, 0, 50)
        daemon.until(lambda: len(daemon.faults.injected(broken)) == 1)
        check_all_is_there(daemon)
        assert daemon.pid("writer") == pid


def test_a_disk_that_stays_broken_is_told_and_nothing_is_lost(daemon: Daemon) -> None:
    """The barrier ends the writer each time: nobody knows what reached the disk."""
    broken = arm(daemon, DiskFault(process="writer", does="ioerr", file="*-wal", times=0))
    emit(daemon.hub, 0, 50)
    daemon.until(lambda: "disk reports an error" in daemon.log)
    count = len(daemon.faults.injected(broken))
    daemon.until(lambda: len(daemon.faults.injected(broken)) > count + 2)
    daemon.faults.disarm()
    check_all_is_there(daemon)


def test_the_asker_hears_of_an_error_of_the_disk(tmp_path: Path) -> None:
    with Daemon(tmp_path, NO_BARRIERS, faults=[]) as daemon:
        daemon.hub.flush()
        pid = daemon.pid("writer")
        arm(daemon, DiskFault(process="writer", does="ioerr", file="*-wal", times=0))
        with pytest.raises(StorageError, match="disk reports an error"):
            daemon.hub.state.create("task", {"n": 1}, id="t", timeout=daemon.timeout)
        daemon.faults.disarm()
        created = daemon.hub.state.create("task", {"n": 1}, id="t", timeout=daemon.timeout)
        assert created.version == 1
        assert daemon.pid("writer") == pid


def test_a_barrier_that_fails_ends_the_writer_and_its_next_life_goes_on(daemon: Daemon) -> None:
    pid = daemon.pid("writer")
    emit(daemon.hub, 0, 50)
    arm(daemon, DiskFault(process="writer", does="ioerr", operation="sync", file="*-wal"))
    check_all_is_there(daemon)
    assert daemon.pid("writer") != pid
    ended = daemon.next_event("supervisor:child_terminated", subject="writer")
    assert ended.data["exit"]["kind"] == "exit"


def test_a_write_that_is_torn_with_its_process_is_as_if_it_was_not(daemon: Daemon) -> None:
    """One death for each message: two would make it poison."""
    torn = DiskFault(process="writer", does="torn", file="*-wal", max_bytes=5_000, nth=4)
    for n in range(3):
        arm(daemon, torn)
        emit(daemon.hub, n * 20, 20)
        daemon.hub.flush(timeout=daemon.timeout)
    check_all_is_there(daemon)
    assert daemon.child("writer").restarts == 3


def test_a_writer_that_cannot_share_memory_is_started_again(daemon: Daemon) -> None:
    emit(daemon.hub, 0, 10)
    broken = arm(daemon, DiskFault(process="writer", does="ioerr", operation="map"))
    daemon.kill("writer")
    check_all_is_there(daemon)
    assert [line.target for line in daemon.faults.injected(broken)] == ["holdfast.db-shm"]


def test_who_reads_a_broken_disk_hears_of_it_and_reads_on_when_it_works(daemon: Daemon) -> None:
    state, timeout = daemon.hub.state, daemon.timeout
    state.create("task", {"n": 1}, id="t", timeout=timeout)
    assert state.query(type="task", timeout=timeout)
    state.update("t", {"n": 2}, timeout=timeout)  # what the reader has in memory is old now
    arm(daemon, DiskFault(process="query", does="ioerr", operation="read", times=0))
    with pytest.raises(StorageError, match="disk reports an error"):
        state.query(type="task", timeout=timeout)
    daemon.faults.disarm()
    assert [entity.properties for entity in state.query(type="task", timeout=timeout)] == [{"n": 2}]


SLOW = """
[storage]
durability = "disk"
[supervisors.state]
heartbeat_interval = 0.2
heartbeat_timeout = 1.5
"""


def test_a_disk_that_syncs_slowly_holds_senders_back_and_is_no_hang(tmp_path: Path) -> None:
    """Each fsync takes longer than a child may give no sign of life."""
    slow = DiskFault(process="writer", does="slow", operation="sync", seconds=2.0, times=0)
    with Daemon(tmp_path, SLOW, faults=[]) as daemon:
        pid = daemon.pid("writer")
        daemon.faults.arm(slow)
        with holdfast.connect(daemon.run_dir, outbox_messages=100) as hub:
            for n in range(250):
                emit(hub, n, 1)
                assert hub.events.pending <= 100
            hub.flush("disk", timeout=daemon.timeout)
            check_conservation(daemon, hub)
            assert hub.events.dropped == 0
        assert len(daemon.faults.injected()) >= 2
        assert daemon.pid("writer") == pid
        assert "child_hung" not in daemon.log
