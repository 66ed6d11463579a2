"""A backup is one moment of the database, whole, or it is not there."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import DamagedError, StorageError
from holdfast.storage.copying import Copy, Progress, copy_database, finish, room_for
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.verifying import verify_database
from tests.storage.conftest import StillClock
from tests.storage.damaging import fill, pages_of, rows_of, wipe
from tests.storage.test_sqlite_files import WRITER


def backed_up(source: Path, target: Path, watch: Progress = lambda *_: None) -> Copy:
    with room_for(str(target), replace=False) as draft:
        copy = copy_database(str(source), draft, watch)
        finish(draft, str(target))
    return copy


def names_in(folder: Path) -> list[str]:
    """But for what a reader of a log leaves."""
    return sorted(name for name in os.listdir(folder) if not name.endswith(("-wal", "-shm")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "holdfast.db"
    database = SqliteDatabase(path, daemon="d", durability="committed", clock=StillClock())
    fill(database)
    database.close()
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that commits as fast as it can and prints each acknowledged number."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 20)[0], "the writer did not start"
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


def test_a_copy_of_a_stopped_daemons_database_has_every_row(path: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    copy = backed_up(path, tmp_path / "b.db", lambda done, total: seen.append((done, total)))
    assert rows_of(tmp_path / "b.db") == rows_of(path)
    assert copy.rows["events"] == len(rows_of(path)["events"])
    assert seen == sorted(seen)
    assert seen[-1] == (copy.bytes, copy.bytes)
    assert names_in(tmp_path) == ["b.db", "holdfast.db", "holdfast.db.lock"]


def test_a_copy_of_a_database_that_is_written_to_is_one_moment_and_the_writer_goes_on(
    path: Path, tmp_path: Path, writer: subprocess.Popen[str]
) -> None:
    """What was acknowledged before is in it; what is committed meanwhile is not, in no part."""
    assert writer.stdout is not None
    lines = (int(line) for line in writer.stdout)
    acknowledged = next(lines)
    during: list[int] = []

    def watch(done: int, total: int) -> None:
        reader = SqliteReader(path)
        now = reader.last_seq()
        reader.close()
        during.append(now)
        # So many commits later, with the copy's moment held: they do not wait for it.
        next(mark for mark in lines if mark > now + 30)

    copy = backed_up(path, tmp_path / "b.db", watch)
    assert len(during) > 1
    assert copy.last_seq < during[-1]
    stored = {row[0] for row in rows_of(tmp_path / "b.db")["events"]}
    assert stored == set(range(1, copy.last_seq + 1))
    (mark,) = (row[3] for row in rows_of(tmp_path / "b.db")["senders"] if row[0] == "a")
    assert mark >= acknowledged
    assert mark % 3 == 0
    assert sum(row[4] == "s" for row in rows_of(tmp_path / "b.db")["events"]) == mark
    found = verify_database(str(tmp_path / "b.db"), watch=lambda _: None)
    assert {one.level for one in found} == {"ok"}


def test_the_copy_is_one_file_that_any_viewer_opens(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "b.db"
    target.parent.mkdir()
    backed_up(path, target)
    target.chmod(0o400)
    reader = SqliteReader(target)
    assert reader.last_seq() > 0
    reader.close()
    assert os.listdir(target.parent) == ["b.db"]


def test_nothing_is_replaced_unless_it_is_asked_for(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    target.write_text("precious")
    with pytest.raises(StorageError, match=r"exists; .*--force"):
        backed_up(path, target)
    assert target.read_text() == "precious"
    for name in (tmp_path, tmp_path / "missing" / "b.db"):
        with pytest.raises(StorageError, match=r"is a folder|is no folder"):
            backed_up(path, name)
    shutil.copy(path, f"{target}-wal")
    target.unlink()
    with pytest.raises(StorageError, match="has it open"):
        backed_up(path, target)


def test_a_copy_that_is_broken_off_leaves_nothing(path: Path, tmp_path: Path) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backed_up(path, tmp_path / "b.db", interrupted)
    assert names_in(tmp_path) == ["holdfast.db", "holdfast.db.lock"]


def test_a_damaged_database_makes_no_backup(path: Path, tmp_path: Path) -> None:
    wipe(path, [page for page, kind in pages_of(path, "events") if kind == "leaf"][2])
    with pytest.raises(DamagedError, match="damaged"):
        backed_up(path, tmp_path / "b.db")
    assert names_in(tmp_path) == ["holdfast.db", "holdfast.db.lock"]
