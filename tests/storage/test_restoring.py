"""A backup in place of the database: nothing is deleted, and what was sent or read stays right."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from holdfast.errors import (
    CursorError,
    DamagedError,
    ExpiredError,
    FencedError,
    GapError,
    StorageError,
)
from holdfast.storage.copying import copy_database, finish, room_for
from holdfast.storage.cursors import Cursor
from holdfast.storage.restoring import Restored, restore_database
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.conftest import Opener, StillClock
from tests.storage.making import append, event, origin


def opened(path: Path, **options: int) -> SqliteDatabase:
    return SqliteDatabase(
        path,
        daemon="d",
        durability="committed",
        clock=StillClock(),
        **options,  # type: ignore[arg-type]  # one of them
    )


def back_up(path: Path, target: Path) -> Path:
    with room_for(str(target), replace=False) as draft:
        copy_database(str(path), draft, lambda *_: None)
        finish(draft, str(target))
    return target


def restore(source: Path, path: Path, boot: int = 0) -> Restored:
    return restore_database(
        str(source), str(path), lambda *_: None, before=lambda used: max(used, boot)
    )


def send(database: SqliteDatabase, first: int, count: int, sender: str = "planner") -> int:
    frame = [event(n) for n in range(first, first + count)]
    return append(database, frame, origin(first, sender=sender)).mark


@pytest.fixture
def backup(path: Path, tmp_path: Path) -> Path:
    """Made after 10 events; by now there are 25, and a sender that the backup does not know."""
    database = opened(path)
    send(database, 1, 10)
    backup = back_up(path, tmp_path / "b.db")
    send(database, 11, 10)
    send(database, 1, 5, sender="later")
    database.close()
    return backup


def dropped(path: Path) -> list[tuple[object, ...]]:
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return viewer.execute(
            "SELECT sender, first, last, reason FROM dropped ORDER BY id"
        ).fetchall()
    finally:
        viewer.close()


def test_what_was_there_is_moved_aside_with_a_date_and_its_log(path: Path, backup: Path) -> None:
    done = restore(backup, path)
    assert done.aside is not None
    assert done.aside.startswith(f"{path}.before-restore-2")
    assert (done.copy.last_seq, done.previous) == (10, (1, 25))
    old, new = SqliteReader(done.aside), SqliteReader(path)
    assert (old.last_seq(), new.last_seq()) == (25, 10)
    old.close()
    new.close()
    assert restore(backup, path).aside != done.aside


def test_a_sender_that_was_acknowledged_more_goes_on_and_the_loss_is_written_down(
    path: Path, backup: Path
) -> None:
    restore(backup, path)
    database = opened(path)
    assert database.mark("planner", "1.1", "log").number == 10
    assert send(database, 21, 2) == 22
    assert send(database, 6, 2, sender="later") == 7
    assert database.last_seq == 14
    assert dropped(path) == [("planner", 11, 20, "restored"), ("later", 1, 5, "restored")]
    with pytest.raises(GapError):
        send(database, 30, 1)  # that one is a gap like any other
    database.close()


def test_a_sender_whose_last_events_are_in_the_backup_does_not_repeat_them(
    path: Path, backup: Path
) -> None:
    restore(backup, path)
    database = opened(path)
    assert send(database, 6, 10) == 15  # it held 6 to 15; up to 10 they are in the copy
    assert database.last_seq == 15
    assert dropped(path) == []
    database.close()


def test_once_a_sender_was_forgotten_unknown_ones_are_refused_again(
    path: Path, backup: Path
) -> None:
    restore(backup, path)
    database = opened(path, max_senders=2)
    for sender in ("one", "two", "three"):
        send(database, 1, 1, sender=sender)
    with pytest.raises(ExpiredError):
        send(database, 6, 1, sender="later")
    database.close()


def test_a_cursor_of_events_that_are_gone_is_refused_also_when_their_numbers_are_used_again(
    path: Path, backup: Path
) -> None:
    restore(backup, path)
    database = opened(path)
    send(database, 21, 30)
    database.close()
    reader = SqliteReader(path)
    position = reader.position()
    reader.close()
    assert position.last_seq == 40
    Cursor(1, 10).check(position)
    Cursor(position.epoch, 40).check(position)
    with pytest.raises(CursorError, match="restored"):
        Cursor(1, 11).check(position)


def test_a_writer_of_before_the_restore_commits_nothing(path: Path, backup: Path) -> None:
    """Its lock is bypassed: the file that it has open is the one that was moved aside."""
    zombie = opened(path)
    os.unlink(f"{path}.lock")
    restore(backup, path)
    database = opened(path)
    before = database.position()
    with suppress(FencedError):
        send(zombie, 21, 1)
    assert database.position() == before
    assert before.epoch > zombie.position().epoch
    database.close()
    zombie.close()


def test_where_the_database_cannot_be_read_the_epoch_goes_far_ahead(
    path: Path, backup: Path
) -> None:
    path.write_bytes(b"\x01" * 40_000)
    done = restore(backup, path)
    assert done.previous is None
    assert done.epoch == 1_000_000
    assert Path(done.aside or "").read_bytes() == b"\x01" * 40_000
    database = opened(path)
    assert database.position().epoch == 1_000_001
    database.close()


def test_the_boot_that_names_in_the_backup_have_is_told_before_it_is_in_place(
    path: Path, backup: Path
) -> None:
    before = path.read_bytes()

    def check(used: int) -> int:
        assert used == 1
        assert path.read_bytes() == before
        return 7

    done = restore_database(str(backup), str(path), lambda *_: None, before=check)
    assert done.boot == 7


@pytest.mark.parametrize("renames", [1, 2, 3])
def test_a_restore_that_is_cut_off_is_named_at_the_start_and_can_be_repeated(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """Killed at each step of the move: no start meets one file with the log of the other."""
    left = [renames]
    move = os.rename

    def rename(source: str, target: str) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        move(source, target)

    database = opened(path)
    send(database, 21, 1)
    for suffix in ("", "-wal"):
        (path.parent / f"killed{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    database.close()
    for suffix in ("", "-wal"):
        move(path.parent / f"killed{suffix}", f"{path}{suffix}")
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        restore(backup, path)
    monkeypatch.undo()
    with pytest.raises(DamagedError, match=r"cut off .* run it again"):
        opened(path)
    restore(backup, path)
    database = opened(path)
    assert database.last_seq == 10
    database.close()
    saved = [one for one in path.parent.iterdir() if "before-restore" in one.name]
    assert any(one.stat().st_size > 16_384 for one in saved)


def test_the_note_of_a_failed_fsync_goes_with_the_database_that_it_is_of(
    path: Path, tmp_path: Path, open_database: Opener
) -> None:
    """Else the backup's first start would copy pages of a log that is not its own."""
    open_database().close()
    backup = back_up(path, tmp_path / "backup.db")
    Path(f"{path}.doubt").touch()
    restore(backup, path)
    assert not Path(f"{path}.doubt").exists()
    (kept,) = path.parent.glob("*before-restore*.doubt")
    assert Path(str(kept).removesuffix(".doubt")).exists()


def test_the_database_itself_is_no_backup(path: Path, open_database: Opener) -> None:
    open_database().close()
    with pytest.raises(StorageError, match="is the database itself"):
        restore(path, path)
