"""A log that something else has written to: what SQLite no longer sees is not given up unseen."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from holdfast.errors import DamagedError
from holdfast.storage.database_file import PAGE_SIZE
from tests.storage.conftest import Opener
from tests.storage.making import append, events, origin
from tests.storage.test_sqlite_files import copy_of_the_living, opened_and_heard

LINE = b"2026-11-28 17:02:04.195463+00:00 ERROR   sessions[9532] sessions failed\n"


def with_a_line_of_a_log_at_its_head(database: Path) -> None:
    with open(f"{database}-wal", "r+b") as log:
        log.write(LINE)


def test_a_database_that_was_on_the_disk_and_has_lost_all_is_refused_and_the_log_is_kept(
    path: Path, open_database: Opener, tmp_path: Path
) -> None:
    database = open_database()
    append(database, events(20), origin(1))
    database.sync()
    killed = copy_of_the_living(path, tmp_path)
    Path(f"{killed}.lock").write_text(Path(f"{path}.lock").read_text())
    size = Path(f"{killed}-wal").stat().st_size
    with_a_line_of_a_log_at_its_head(killed)
    for _ in range(2):
        with pytest.raises(DamagedError, match="all that it had is gone"):
            opened_and_heard(killed)
    (kept,) = killed.parent.glob("holdfast.db-wal.cut-*")
    assert kept.stat().st_size == size


def test_a_log_whose_head_is_gone_is_told_and_kept_and_the_start_goes_on_from_the_file(
    path: Path, open_database: Opener, tmp_path: Path
) -> None:
    first = open_database()
    append(first, events(20), origin(1))
    first.close()
    database = open_database()
    append(database, events(5, first=20), origin(21))
    killed = copy_of_the_living(path, tmp_path)
    with_a_line_of_a_log_at_its_head(killed)
    reopened, lines = opened_and_heard(killed)
    assert reopened.last_seq == 20
    reopened.close()
    assert [line for line in lines if "the log is broken after 0 pages" in line]
    assert list(killed.parent.glob("holdfast.db-wal.cut-*"))


def test_an_empty_database_in_the_place_of_one_is_refused(
    open_database: Opener, path: Path
) -> None:
    open_database().close()
    path.unlink()
    with closing(apsw.Connection(str(path))) as other:
        other.pragma("page_size", PAGE_SIZE)
        other.pragma("journal_mode", "WAL")
    with pytest.raises(DamagedError, match="all that it had is gone"):
        open_database()


def test_where_a_database_was_taken_away_a_new_one_is_made(
    open_database: Opener, path: Path
) -> None:
    open_database().close()
    path.unlink()
    database = open_database()
    assert database.position().epoch == 1
    database.close()
    assert open_database().position().epoch == 2


def test_a_power_cut_before_anything_was_on_the_disk_leaves_no_damage(
    open_database: Opener, path: Path, tmp_path: Path
) -> None:
    database = open_database()
    append(database, events(3), origin(1))
    lock = Path(f"{path}.lock").read_text()
    killed = copy_of_the_living(path, tmp_path)
    Path(f"{killed}.lock").write_text(lock)
    Path(f"{killed}-wal").write_bytes(b"")
    reopened, _ = opened_and_heard(killed)
    assert reopened.position().epoch == 1
    reopened.close()
