"""A swap that was cut off goes on where it was; or is cancelled, and leaves nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import holdfast
from holdfast.actors.messages.reload import Reload
from holdfast.actors.messages.swap import SwapRecord
from holdfast.errors import HoldfastError, ReloadError
from holdfast.testing.faults import AtPoint, DiskFault, Kill, Stop
from holdfast.testing.processes import descendants, is_alive, lasting
from tests.daemon import CONFIG, ForkedDaemon
from tests.supervisors.reload_rig import pids
from tests.supervisors.swap_rig import (
    PATIENCE,
    Senders,
    check,
    commit_point,
    configured,
    data,
    last_swap,
    move,
    triggers,
)

OTHER: Final = configured(CONFIG, 'path = "other.db"')
THIRD: Final = configured(CONFIG, 'path = "third.db"')
BEFORE: Final = 300  # entities that are there


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ForkedDaemon]:
    with ForkedDaemon(tmp_path, CONFIG, profile={}, faults=[]) as daemon:
        for n in range(BEFORE):
            daemon.hub.events.emit("before", {"n": n}, session="before")
        yield daemon


def cut_off(daemon: ForkedDaemon, point: str, nth: int = 1, text: str = OTHER) -> SwapRecord:
    """The copier is killed there."""
    daemon.faults.arm(AtPoint(point=point, nth=nth, process="/copier", action=Kill()))
    with pytest.raises(ReloadError, match="goes on from there"):
        move(daemon, text)
    record = last_swap(daemon)
    assert record.resumable
    assert not record.ok
    return record


def test_a_swap_whose_copier_is_killed_again_and_again_goes_on_and_copies_nothing_twice(
    daemon: ForkedDaemon,
) -> None:
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(5)
        first = cut_off(daemon, "copier.in_range", nth=4)
        status = daemon.hub.supervision.swap().status
        assert status is not None
        assert (status.swap, status.is_cut, status.phase) == (first.swap, True, "copying")
        senders.wait_for(5)
        cut_off(daemon, "copier.after_range", nth=6)
        senders.wait_for(5)
        cut_off(daemon, "copier.before_finishing")
        senders.wait_for(5)
    cut_off(daemon, "copier.before_finishing")
    (note,) = move(daemon, OTHER).notes
    check(data(daemon, "other.db"), senders)
    last = last_swap(daemon)
    assert (last.swap, last.ok, last.verified, last.error) == (first.swap, True, True, "")
    assert last.resumed > BEFORE
    assert last.copied < 100  # what the daemon itself has written since
    assert note == f"swap {last.swap} was gone on with: {last.resumed} rows were there already"
    event = daemon.next_event("holdfast:swap", where=lambda event: event.data["ok"])
    assert event.data["resumed"] == last.resumed
    assert triggers(data(daemon, "other.db")) == 0
    assert not data(daemon, "swapping").exists()


def root_dies_in(daemon: ForkedDaemon, point: str, nth: int) -> None:
    """Of a swap; it is started again."""
    daemon.faults.arm(AtPoint(point=point, nth=nth, process="/copier", action=Stop()))
    below = descendants(daemon.process.pid)
    daemon.config_file.write_text(OTHER)
    with holdfast.connect(daemon.run_dir) as hub:
        hub.ref("root").ask(Reload(), timeout=PATIENCE, block=False)
        daemon.until(lambda: daemon.faults.injected() or None)
        os.kill(daemon.process.pid, signal.SIGKILL)
        assert daemon.process.wait(PATIENCE) == -signal.SIGKILL
    assert not lasting(
        lambda: {pid: one for pid, one in below.items() if is_alive(one)}, within=PATIENCE
    )
    daemon.faults.disarm()
    daemon.restart()


def test_a_swap_whose_root_is_killed_goes_on_with_the_next_reload(daemon: ForkedDaemon) -> None:
    """The next start says so; nothing moves before somebody reloads."""
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(5)
        root_dies_in(daemon, "copier.after_range", 4)
        senders.wait_for(5)
        (record,) = daemon.until(daemon.hub.supervision.swaps)
        assert record.resumable
        assert "cut off: the daemon ended while it was copying" in record.error
        assert commit_point(daemon)["path"] == "holdfast.db"
        (note,) = daemon.hub.supervision.reload(dry_run=True).notes
        assert note == f"swap {record.swap}, which was cut off while copying, is gone on with"
        move(daemon, OTHER)
        senders.wait_for(5)
    check(data(daemon, "other.db"), senders)
    last = last_swap(daemon)
    assert (last.swap, last.ok) == (record.swap, True)
    assert last.resumed > 0


@pytest.mark.slow
def test_a_swap_whose_writer_and_supervisor_are_killed_while_it_copies_goes_on_by_itself(
    daemon: ForkedDaemon,
) -> None:
    """The log is the database's, and the copier is the root's."""
    with Senders(daemon.run_dir) as senders, holdfast.connect(daemon.run_dir) as hub:
        asked = waiting(daemon, hub, "copier.after_range")
        daemon.wait_until_running("writer", after=daemon.kill("writer"))
        senders.wait_for(5)
        daemon.wait_until_running("state", after=daemon.kill("state"))
        senders.wait_for(5)
        os.kill(daemon.faults.injected()[-1].pid, signal.SIGCONT)
        asked.get(timeout=PATIENCE)
        senders.wait_for(5)
    check(data(daemon, "other.db"), senders)
    last = last_swap(daemon)
    assert (last.ok, last.verified, last.resumed) == (True, True, 0)


@pytest.mark.slow  # of the storage it is not
def test_another_target_begins_anew_and_says_why_and_the_old_one_gives_it_up(
    daemon: ForkedDaemon,
) -> None:
    first = cut_off(daemon, "copier.after_range", 4)
    (note,) = move(daemon, THIRD).notes
    assert "begun anew: it went to sqlite (other.db), another place" in note
    last = last_swap(daemon)
    assert last.swap != first.swap
    assert (last.ok, last.resumed) == (True, 0)
    second = cut_off(daemon, "copier.after_range", 4)
    assert "began anew" not in second.anew
    assert triggers(data(daemon, "third.db")) > 0
    move(daemon, THIRD)  # where the data is
    assert triggers(data(daemon, "third.db")) == 0
    assert "given up" in last_swap(daemon).error
    assert daemon.hub.supervision.swap().status is None


@pytest.mark.slow  # it is looked at once in a while
def test_a_log_that_nobody_follows_is_ended_when_it_is_too_long(daemon: ForkedDaemon) -> None:
    record = cut_off(daemon, "copier.after_range", 4, text=OTHER + "resume_rows = 3\n")
    for n in range(4):
        daemon.hub.state.create("agent", {"n": n}, id=f"a{n}")
    given_up = daemon.until(lambda: None if last_swap(daemon).resumable else last_swap(daemon))
    assert given_up.swap == record.swap
    assert "more than [storage] resume_rows = 3; the next reload begins anew" in given_up.error
    assert triggers(data(daemon, "holdfast.db")) == 0
    move(daemon, OTHER)
    assert last_swap(daemon).resumed == 0


@pytest.mark.parametrize("is_tail", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_target_whose_disk_is_full_is_named_and_the_old_database_goes_on(
    daemon: ForkedDaemon, is_tail: bool
) -> None:
    """B3.  In the middle of the copy, and when the rest is moved."""
    full = DiskFault(process="/copier", does="full", file="other.db-wal", times=0)
    with Senders(daemon.run_dir) as senders, holdfast.connect(daemon.run_dir) as hub:
        was = pids(daemon)
        point = "copier.before_finishing" if is_tail else "copier.after_range"
        asked = waiting(daemon, hub, point)
        daemon.faults.arm(full)
        os.kill(daemon.faults.injected()[-1].pid, signal.SIGCONT)
        with pytest.raises(HoldfastError, match=r"other\.db: .*disk is full"):
            asked.get(timeout=PATIENCE)
        senders.wait_for(5)
        assert (pids(daemon) == was) is not is_tail
        daemon.faults.disarm()
        move(daemon, OTHER)
        senders.wait_for(5)
    check(data(daemon, "other.db"), senders)
    failed, last = daemon.hub.supervision.swaps()
    assert (failed.resumable, last.ok) == (True, True)
    assert last.resumed > 0


def waiting(daemon: ForkedDaemon, hub: Any, point: str) -> Any:
    """A swap whose copier stands there; what its reload answers."""
    (fault,) = daemon.faults.arm(AtPoint(point=point, process="/copier", action=Stop()))
    daemon.config_file.write_text(OTHER)
    asked = hub.ref("root").ask(Reload(), timeout=PATIENCE, block=False)
    daemon.until(lambda: daemon.faults.injected(fault) or None)
    return asked


@pytest.mark.parametrize(
    "point",
    ["copier.after_copying", pytest.param("copier.before_finishing", marks=pytest.mark.slow)],
)
def test_a_swap_that_is_cancelled_leaves_all_as_it_was(daemon: ForkedDaemon, point: str) -> None:
    """Also in the hold; also if the copier does not hear of it."""
    with pytest.raises(ReloadError, match="no swap is under way"):
        daemon.hub.supervision.cancel_swap()
    with Senders(daemon.run_dir) as senders, holdfast.connect(daemon.run_dir) as hub:
        senders.wait_for(5)
        asked = waiting(daemon, hub, point)
        done = daemon.hub.supervision.cancel_swap()
        assert (done.what, done.left) == ([str(data(daemon, "other.db"))], "")
        with pytest.raises(HoldfastError, match="stays where it was: cancelled"):
            asked.get(timeout=PATIENCE)
        senders.wait_for(5)
    check(data(daemon, "holdfast.db"), senders)
    record = last_swap(daemon)
    assert (record.swap, record.ok, record.resumable) == (done.swap, False, False)
    assert not data(daemon, "other.db").exists()
    assert not data(daemon, "swapping").exists()
    assert triggers(data(daemon, "holdfast.db")) == 0


def test_one_that_was_cut_off_is_cancelled_too_and_one_that_is_committed_is_not(
    daemon: ForkedDaemon,
) -> None:
    record = cut_off(daemon, "copier.after_range", 4)
    done = daemon.hub.supervision.cancel_swap()
    assert (done.swap, done.what) == (record.swap, [str(data(daemon, "other.db"))])
    assert triggers(data(daemon, "holdfast.db")) == 0
    assert last_swap(daemon).error == "cancelled"
    with holdfast.connect(daemon.run_dir) as hub:
        asked = waiting(daemon, hub, "copier.before_verifying")
        with pytest.raises(ReloadError, match="its commit point is written"):
            daemon.hub.supervision.cancel_swap()
        *_, line = daemon.faults.injected()
        os.kill(line.pid, signal.SIGCONT)
        asked.get(timeout=PATIENCE)
    assert last_swap(daemon).resumed == 0
