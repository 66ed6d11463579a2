"""A file system that is really full (scenario D3): nothing is lost, or it is counted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

import holdfast
from holdfast.actors.messages.writer import Stats, WriterStats
from holdfast.errors import DiskFullError
from tests.actors.overloading import check_conservation, committed, notices, rows
from tests.actors.test_agents import AGENT, ROOT
from tests.daemon import CONFIG, TIMEOUT, Daemon

Resize = Callable[[str], None]

# So that barriers fall into the time without room.
BARRIERS = "[storage]\nsync_interval = 0.02\n"
FULL = 6_000  # events of 2 KiB: more than 4 MiB hold


def _mount(*arguments: str | Path) -> bool:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def small_disk(where: Path) -> Iterator[Resize]:
    """A file system of 4 MiB, until it is resized."""
    where.mkdir(parents=True)
    if not _mount("-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", where):
        pytest.skip("only root, with the right to mount, can make a small file system")
    try:
        yield lambda size: _resize(where, size)
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def _resize(where: Path, size: str) -> None:
    assert _mount("-o", f"remount,size={size}", where)


def writer_stats(daemon: Daemon) -> WriterStats:
    with holdfast.connect(daemon.run_dir) as hub:
        return msgspec.convert(hub.ask("writer", Stats(), timeout=TIMEOUT), WriterStats)


def is_said(daemon: Daemon, text: str) -> bool:
    return text in daemon.log.read_text()


@pytest.mark.parametrize("thresholds", ["", "[actors.log]\ndrop_at = 500\nflush_at = 1_500\n"])
def test_what_a_full_disk_did_not_take_is_stored_or_counted_once_there_is_room(
    tmp_path: Path, thresholds: str
) -> None:
    with (
        small_disk(tmp_path / "var" / "lib") as resize,
        Daemon(tmp_path, CONFIG + BARRIERS + thresholds) as daemon,
    ):
        hub = daemon.hub
        pids = {name: daemon.pid(name) for name in ("log", "writer")}
        for n in range(FULL):
            hub.events.emit("n", n, subject="x" * 1_000, session="x" * 1_000)
        daemon.until(lambda: is_said(daemon, "disk is full"))
        daemon.until(lambda: not thresholds or is_said(daemon, "mode flush"))
        assert hub.events.pending > 0
        with holdfast.connect(daemon.run_dir) as other:
            assert other.events.query(limit=1, reverse=True)[0].seq > 0, "reading goes on"
        groups = writer_stats(daemon).groups
        daemon.until(lambda: writer_stats(daemon).groups > groups + 2)  # it goes on trying
        resize("64m")
        hub.flush(timeout=TIMEOUT)
        assert {name: daemon.pid(name) for name in pids} == pids, "nobody had to restart"
        check_conservation(daemon, hub)
        if thresholds:
            assert hub.events.dropped > 0
            assert "flush" in {notice["mode"] for notice in notices(daemon)}
        else:
            assert committed(daemon) == list(range(FULL))
        assert rows(daemon, "PRAGMA integrity_check") == [("ok",)]


def fill(where: Path) -> Path:
    """Leave no byte free."""
    filler = where / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


def test_a_sender_whose_first_events_found_no_room_loses_none_and_hears_of_nothing(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "var" / "lib"
    with small_disk(disk), Daemon(tmp_path) as daemon:
        filler = fill(disk)
        with holdfast.connect(daemon.run_dir) as hub:
            for n in range(FULL):  # many frames: those behind the first are of nobody known
                hub.events.emit("n", n)
            daemon.until(lambda: is_said(daemon, "disk is full"))
            filler.unlink()
            _resize(disk, "64m")
            hub.flush(timeout=TIMEOUT)
        assert committed(daemon) == list(range(FULL))


def test_a_letter_without_room_holds_back_the_acknowledgement_of_later_ones(
    tmp_path: Path,
) -> None:
    """Scenario 29: the small one is kept before the large one, and says nothing of it."""
    disk = tmp_path / "var" / "lib"
    agent = AGENT.format(name="one", root=ROOT, more='restart = "temporary"')
    with small_disk(disk) as resize, Daemon(tmp_path, CONFIG + agent) as daemon:
        daemon.kill("one")
        daemon.until(lambda: daemon.child("agents").gone)
        filler = fill(disk)
        os.truncate(filler, filler.stat().st_size - 500_000)
        large, small = "x" * 1_000_000, "y"
        for message in (large, small):
            daemon.hub.ref("one").tell(message)
        sql = "SELECT length(body) FROM dead_letters ORDER BY id"
        daemon.until(lambda: rows(daemon, sql) == [(2,)])
        daemon.until(lambda: is_said(daemon, "a dead letter cannot be kept, trying again"))
        assert daemon.child("agents").gone[0].letters == 0
        assert daemon.hub.counters()["one"].pending == 2
        filler.unlink()
        resize("16m")  # a letter of 1 MB takes 2 in the log, and another 2 in the database
        daemon.hub.flush(timeout=TIMEOUT)
        assert rows(daemon, sql) == [(2,), (1_000_005,)]
        assert daemon.hub.counters()["one"].dropped == 2


def test_a_barrier_without_room_is_told_and_tried_again_and_nobody_dies(tmp_path: Path) -> None:
    disk = tmp_path / "var" / "lib"
    config = CONFIG + "[storage]\nsync_interval = 0.3\n"
    with small_disk(disk), Daemon(tmp_path, config) as daemon:
        pid = daemon.pid("writer")
        # So long that no page of the log which was written before has room for the next.
        daemon.hub.events.emit("n", 0, subject="x" * 1_000)
        daemon.hub.flush(timeout=TIMEOUT)
        filler = fill(disk)
        with pytest.raises(DiskFullError):
            daemon.hub.flush("disk", timeout=TIMEOUT)
        daemon.until(lambda: is_said(daemon, "trying again and again"))
        with holdfast.connect(daemon.run_dir) as other:
            other.ref("sessions").tell(["touch", "s1"])  # its goodbye is to be forgotten
        filler.unlink()
        assert daemon.hub.flush("disk", timeout=TIMEOUT) == "disk"
        assert daemon.pid("writer") == pid
        assert committed(daemon) == [0]


def test_changes_go_on_in_less_room_than_the_log_would_take(tmp_path: Path) -> None:
    """Each is some 40 KiB of log, which is begun anew as often as it fills the disk."""
    with small_disk(tmp_path / "var" / "lib"), Daemon(tmp_path) as daemon:
        for n in range(400):
            daemon.hub.events.emit("n", n)
            daemon.hub.flush(timeout=TIMEOUT)
        assert os.stat(f"{daemon.database}-wal").st_size < 2 * 2**20
        assert committed(daemon) == list(range(400))


def test_a_writer_that_is_killed_while_the_disk_is_full_waits_for_room(tmp_path: Path) -> None:
    """With the restart limits of a user: it is no start that failed."""
    disk = tmp_path / "var" / "lib"
    with small_disk(disk) as resize, Daemon(tmp_path, "") as daemon:
        daemon.hub.events.emit("n", 0)
        daemon.hub.flush(timeout=TIMEOUT)
        fill(disk)
        daemon.kill("writer")
        daemon.until(lambda: daemon.log.read_text().count("trying again and again") >= 1)
        daemon.wait_until_running("writer")
        daemon.hub.events.emit("n", 1)
        assert [event.data for event in daemon.hub.events.query(types=["n"])] == [0]
        resize("64m")
        daemon.hub.flush(timeout=TIMEOUT)
        assert daemon.child("writer").restarts == 1
        assert committed(daemon) == [0, 1]
