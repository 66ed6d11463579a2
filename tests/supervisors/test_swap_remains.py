"""What a swap leaves when the disk of the data directory, or whoever ended it, was in its way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

import holdfast
from holdfast.actors.messages.reload import Reload
from holdfast.actors.messages.writer import BeginCapture
from holdfast.errors import HoldfastError, ReloadError
from holdfast.supervisors.swap_files import Entry, SwapFiles
from holdfast.testing.faults import AtPoint, Kill, Stop
from tests.daemon import CONFIG, ForkedDaemon
from tests.supervisors.swap_rig import (
    PATIENCE,
    commit_point,
    configured,
    data,
    last_swap,
    move,
    triggers,
)

OTHER: Final = configured(CONFIG, 'path = "other.db"')


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ForkedDaemon]:
    with ForkedDaemon(tmp_path, CONFIG, profile={}, faults=[]) as daemon:
        yield daemon


@contextmanager
def no_notes(daemon: ForkedDaemon) -> Iterator[None]:
    """``swapping`` cannot be written, as on a disk that is full."""
    draft = data(daemon, "swapping.draft")
    draft.mkdir()
    yield
    draft.rmdir()


@contextmanager
def stopped_at(daemon: ForkedDaemon, point: str, process: str) -> Iterator[tuple[int, Any]]:
    """A swap of which that process stands still there: which it is, and what is answered."""
    (fault,) = daemon.faults.arm(AtPoint(point=point, process=process, action=Stop()))
    daemon.config_file.write_text(OTHER)
    with holdfast.connect(daemon.run_dir) as hub:
        asked = hub.ref("root").ask(Reload(), timeout=PATIENCE, block=False)
        (line,) = daemon.until(lambda: daemon.faults.injected(fault) or None)
        yield line.pid, asked


def test_what_cannot_be_noted_behind_the_commit_point_does_not_bring_the_old_database_back(
    daemon: ForkedDaemon,
) -> None:
    with stopped_at(daemon, "swap.before_commit_point", "root") as (root, asked), no_notes(daemon):
        os.kill(root, signal.SIGCONT)
        asked.get(timeout=PATIENCE)
    assert commit_point(daemon)["path"] == "other.db"
    daemon.hub.state.create("agent", {}, id="a")
    assert not data(daemon, "holdfast.db").exists()
    assert (last_swap(daemon).ok, last_swap(daemon).verified) == (True, True)
    daemon.restart()
    assert daemon.hub.state.get("a") is not None


def test_one_that_cannot_be_noted_as_cut_off_is_given_up_and_keeps_no_log(
    daemon: ForkedDaemon,
) -> None:
    with stopped_at(daemon, "copier.after_copying", "/copier") as (copier, asked):
        with no_notes(daemon):
            os.kill(copier, signal.SIGKILL)
            with pytest.raises(HoldfastError, match="the database stays where it was"):
                asked.get(timeout=PATIENCE)
        assert triggers(data(daemon, "holdfast.db")) == 0
    assert not last_swap(daemon).resumable
    move(daemon, OTHER)
    assert last_swap(daemon).ok


def test_a_log_that_came_with_a_backup_is_ended(daemon: ForkedDaemon) -> None:
    """Nobody knows the swap it was kept for."""
    daemon.hub.ref("writer").ask(BeginCapture("of another daemon"))
    assert triggers(data(daemon, "holdfast.db")) > 0
    daemon.restart()
    daemon.until(lambda: triggers(data(daemon, "holdfast.db")) == 0 or None)


def test_what_was_filled_as_a_whole_and_not_committed_is_forgotten(daemon: ForkedDaemon) -> None:
    """Also when a server that some swap went to is no more."""
    daemon.faults.arm(AtPoint(point="copier.after_finishing", process="/copier", action=Kill()))
    with pytest.raises(ReloadError, match="goes on from there"):
        move(daemon, OTHER)
    assert daemon.hub.supervision.forget_swapped(dry_run=True) == [str(data(daemon, "other.db"))]
    assert data(daemon, "other.db").exists()
    files = SwapFiles(data(daemon, ""))
    entries = files.history()
    gone = msgspec.structs.replace(last_swap(daemon), swap="0-0")
    lost = msgspec.structs.replace(
        entries[0].places[0],
        backend="postgresql",
        dsn="host=/nowhere dbname=d",
    )
    data(daemon, "swaps.jsonl").unlink()
    for entry in (Entry(gone, [lost]), *entries):
        files.add(entry)
    with pytest.raises(ReloadError, match="/nowhere/d: the server cannot be reached"):
        daemon.hub.supervision.forget_swapped()
    assert not data(daemon, "other.db").exists()  # for all that
    assert daemon.hub.state.get("nobody") is None


def test_old_data_that_nobody_came_to_label_is_moved_aside_by_the_next_swap(
    daemon: ForkedDaemon,
) -> None:
    """The copier was killed just behind the commit point; the daemon went on."""
    daemon.faults.arm(AtPoint(point="copier.before_retiring", process="/copier", action=Kill()))
    move(daemon, OTHER)
    assert "not labelled as such" in last_swap(daemon).error
    assert data(daemon, "holdfast.db").exists()
    daemon.hub.state.create("agent", {}, id="a")
    move(daemon, CONFIG)
    _, retired, last = daemon.hub.supervision.swaps()
    assert (retired.ok, retired.error, last.ok, last.error) == (True, "", True, "")
    assert retired.old.startswith(str(data(daemon, "holdfast.db.swapped-")))
    assert daemon.hub.state.get("a") is not None
