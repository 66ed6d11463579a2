"""Power fails after every write of a recorded writer (scenario D2); and broken writers are caught.

Fixed seeds; a disk is what ``holdfast.testing.faults.power.platter`` makes of it.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from holdfast.storage import sqlite_connection
from holdfast.storage.log_pass import LogPass
from holdfast.storage.ports import Durability
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.testing.faults.power import (
    LOSSES,
    Platter,
    Run,
    Summary,
    cut_run,
    plan_runs,
)
from holdfast.testing.faults.power.__main__ import main
from holdfast.testing.faults.power.tree import VICTIMS, cut_tree
from holdfast.testing.faults.recording import Made, Synced, SyncFailed, Truncated, Wrote


def violations(summary: Summary) -> str:
    return "\n".join(str(each) for each in summary.cuts.violations[:3])


@pytest.mark.parametrize(
    "run",
    [
        Run(1, 120, "committed", is_new=True),
        # Found a barrier that synced nothing: a session, and no event since the last one.
        Run(2, 80, "committed"),
        Run(3, 60, "disk"),
        # Found that after a failed fsync the next one promised what was not there.
        Run(32, 120, "committed", syncs_fail=True),
    ],
    ids=lambda run: f"{run.seed}-{run.durability}",
)
def test_power_loss_takes_nothing_that_is_on_the_disk_and_never_a_middle(run: Run) -> None:
    summary = cut_run(run)
    assert not summary.cuts.violations, violations(summary)
    assert summary.cuts.points >= run.points
    assert summary.cuts.disks.total() == summary.cuts.points
    assert summary.cuts.commits > 3


class Hasty(SqliteDatabase):
    """Says ``disk`` before the fsync."""

    def sync(self) -> None:
        pass


class Reckless(SqliteDatabase):
    """Syncs nothing but its barriers: SQLite's synchronous=OFF."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._connection.pragma("synchronous", "OFF")
        self._wal.begin = lambda every=None: None  # type: ignore[method-assign]  # which would sync

    def sync(self) -> None:
        super().sync()
        self._connection.pragma("synchronous", "OFF")


class Rash(SqliteDatabase):
    """Copies its log into the database before it is on the disk."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        begin = self._wal.begin

        def rash(every: int | None = None) -> LogPass | None:
            if work := begin(every):
                work._connection.pragma("synchronous", "OFF")
            return work

        self._wal.begin = rash  # type: ignore[method-assign]  # of this one


class Idle(SqliteDatabase):
    """Says ``disk`` after the first part of a sync."""

    def begin_sync(self) -> None:
        super().begin_sync()


class Unchanging(SqliteDatabase):
    """Has barriers that change no page when no event came since the last one."""

    def begin_sync(self) -> None:
        self.sync()

    def _note_synced(self) -> None:
        values = (self._events.last_seq,)
        self._connection.execute("UPDATE meta SET value = ? WHERE name = 'synced_seq'", values)


@pytest.mark.parametrize(
    ("make", "durability", "said"),
    [
        (Unchanging, "committed", "told to be on the disk"),
        (Hasty, "committed", "told to be on the disk"),
        (Idle, "committed", "told to be on the disk"),
        (Reckless, "disk", "told to be on the disk"),
        (Reckless, "committed", "all that it had is gone"),
    ],
)
def test_a_writer_that_does_not_sync_is_caught(
    make: type[SqliteDatabase], durability: Durability, said: str
) -> None:
    summary = cut_run(Run(2, 200, durability), make)
    assert any(said in wrong for each in summary.cuts.violations for wrong in each.wrong)


def test_a_log_that_is_copied_beside_the_connection_is_on_the_disk_before_its_pages_are() -> None:
    run = Run(6, 400, "committed")
    summary = cut_run(run)
    assert summary.commands["log checkpoint beside the connection"] > 0
    assert not summary.cuts.violations, violations(summary)
    rash = cut_run(run, Rash)
    assert any("malformed" in wrong for each in rash.cuts.violations for wrong in each.wrong)


def test_a_writer_that_trusts_the_disk_after_a_failed_fsync_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trust(path: str, _vfs: str | None) -> None:
        Path(f"{path}.doubt").unlink(missing_ok=True)

    monkeypatch.setattr(sqlite_connection, "settle_doubt", trust)
    summary = cut_run(Run(32, 120, "committed", syncs_fail=True))
    assert summary.commands["death of a failed sync"] > 0
    assert summary.cuts.violations


def written(*entries: Any) -> Platter:
    platter = Platter({"old": b"abc"})
    for entry in entries:
        platter.take(entry)
    return platter


def test_only_what_was_synced_is_surely_on_a_disk() -> None:
    platter = written(
        Made("new"),
        Wrote("new", 0, b"1" * 1024),
        Synced("new", True),
        Wrote("new", 512, b"2" * 1024),
        Wrote("old", 1, b"x"),
        Truncated("old", 2),
    )
    assert not platter.is_settled
    assert platter.after("unsynced", Random(1)) == {"old": b"abc", "new": b"1" * 1024}
    assert platter.after("nothing", Random(1)) == {"old": b"ax", "new": b"1" * 512 + b"2" * 1024}
    seen = {
        loss: {bytes(platter.after(loss, Random(n))["new"]) for n in range(50)} for loss in LOSSES
    }
    assert all(content[:512] == b"1" * 512 for some in seen.values() for content in some)
    assert {b"1" * 1024, b"1" * 512 + b"2" * 1024} < seen["some"]
    half = b"1" * 512 + b"2" * 512
    assert any(
        content.startswith(half) and content != half + b"2" * 512 for content in seen["some"]
    )


def test_what_a_failed_sync_left_is_never_sure_unless_it_is_written_again() -> None:
    entries = [
        Wrote("old", 1, b"x"),
        SyncFailed("old"),
        Wrote("old", 0, b"y"),
        Synced("old", False),
    ]
    platter = written(*entries)
    assert platter.after("unsynced", Random(1)) == {"old": b"ybc"}
    assert platter.after("nothing", Random(1)) == {"old": b"yxc"}
    platter = written(*entries, Wrote("old", 0, b"yxc"), Synced("old", False))
    assert platter.after("unsynced", Random(1)) == {"old": b"yxc"}


def test_a_file_whose_folder_was_not_synced_may_not_be_there() -> None:
    platter = written(Made("new"), Wrote("new", 0, b"1"), Synced("new", False))
    assert set(platter.after("unsynced", Random(1))) == {"old"}
    assert {len(platter.after("some", Random(n))) for n in range(20)} == {1, 2}


def test_the_command_reports_what_can_be_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "power.md"
    arguments = ["--seed", "7", "--cuts", "30", "--processes", "1", "--report", str(report)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == report.read_text()
    assert "--seed 7 --cuts 30" in report.read_text()
    assert "**violations of D2** | **0**" in report.read_text()


def test_power_loss_takes_nothing_from_a_daemon_under_traffic_and_sigkill() -> None:
    summary = cut_tree(1, every=61, kills=4)
    assert not summary.cuts.violations, violations(summary)
    assert summary.cuts.points > 30
    assert {f"SIGKILL of {name}" for name in VICTIMS} <= set(summary.commands)


@pytest.mark.slow  # five thousand cuts, each with five kinds of loss: minutes
def test_five_thousand_cuts() -> None:
    for run in plan_runs(11, 5_000, every_loss=True):
        summary = cut_run(run)
        assert not summary.cuts.violations, violations(summary)
