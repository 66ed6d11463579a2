"""The files of lines: bounded, and what happens when they cannot be written."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.errors import ConfigError
from holdfast.supervisors.logfiles import LogFiles, check_log_dir, prepare_log_dir

LEAST = 64 * 1024


class Told:
    """The files of a folder, and what was told about them."""

    def __init__(self, folder: Path, *, max_bytes: int = LEAST, backups: int = 2) -> None:
        self.folder = folder / "log"
        self.lines: list[str] = []
        self.files = LogFiles(
            self.folder,
            max_bytes=max_bytes,
            backups=backups,
            note=lambda level, text: f"{level} {text}\n".encode(),
            tell=lambda data: self.lines.append(data.decode()),
        )

    def read(self, name: str = "a.log") -> str:
        return (self.folder / name).read_text()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def numbered(first: int, count: int) -> bytes:
    return b"".join(b"%07d\n" % number for number in range(first, first + count))


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """The kernel writes as much as there is room for, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_files_are_for_this_user_only(tmp_path: Path) -> None:
    told = Told(tmp_path)
    old = os.umask(0)
    try:
        told.files.write("a", b"hello\n")
    finally:
        os.umask(old)
    assert stat.S_IMODE((told.folder / "a.log").stat().st_mode) == 0o600
    assert stat.S_IMODE(told.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("backups", [0, 1, 3])
def test_rotation_bounds_the_bytes_and_loses_only_the_oldest(tmp_path: Path, backups: int) -> None:
    told = Told(tmp_path, backups=backups)
    for first in range(0, 100_000, 1_000):
        told.files.write("a", numbered(first, 1_000))
    told.files.write("b", b"another\n")
    names = [f"a.log.{number}" for number in range(backups, 0, -1)] + ["a.log"]
    assert told.names() == sorted([*names, "b.log"])
    assert all((told.folder / name).stat().st_size <= LEAST for name in names)
    kept = "".join(map(told.read, names)).encode()
    assert kept == numbered(0, 100_000)[-len(kept) :]
    assert len(kept) > backups * LEAST // 2


def test_one_write_may_be_larger_than_a_file(tmp_path: Path) -> None:
    told = Told(tmp_path, backups=100)
    told.files.write("a", numbered(0, 100_000))
    assert all((told.folder / name).stat().st_size <= LEAST for name in told.names())
    order = sorted(told.names(), key=lambda name: -int("0" + name.removeprefix("a.log")[1:]))
    assert "".join(map(told.read, order)).encode() == numbered(0, 100_000)


def test_fewer_backups_than_before_remove_the_others(tmp_path: Path) -> None:
    many = Told(tmp_path, backups=5)
    many.files.write("a", numbered(0, 100_000))
    few = Told(tmp_path, backups=1)
    few.files.write("a", numbered(0, 10_000))
    assert few.names() == ["a.log", "a.log.1"]


def test_without_a_bound_nothing_is_renamed(tmp_path: Path) -> None:
    told = Told(tmp_path, max_bytes=0)
    for _ in range(3):
        told.files.write("a", numbered(0, 100_000))
    assert told.names() == ["a.log"]
    assert (told.folder / "a.log").stat().st_size == 3 * 800_000


def test_a_file_that_was_moved_away_or_removed_is_made_anew(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.files.write("a", b"one\n")
    (told.folder / "a.log").rename(told.folder / "a.log-2026")
    told.files.write("a", b"two\n")
    assert (told.read("a.log-2026"), told.read()) == ("one\n", "two\n")
    (told.folder / "a.log").unlink()
    (told.folder / "a.log-2026").unlink()
    told.folder.rmdir()
    told.files.write("a", b"three\n")
    assert told.read() == "three\n"
    assert not told.lines


def test_what_cannot_be_written_is_told_once_and_counted(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.files.write("a", b"one\n")
    (told.folder / "a.log").unlink()
    (told.folder / "a.log").mkdir()
    told.files.write("a", b"two\nthree\n")
    told.files.write("a", b"four\n")
    told.files.write("b", b"another\n")
    assert len(told.lines) == 1
    assert "a.log: cannot be written: Is a directory" in told.lines[0]
    (told.folder / "a.log").rmdir()
    told.files.write("a", b"five\n")
    assert told.read() == "ERROR 3 lines of a are missing here\nfive\n"
    assert "can be written again; 3 lines are missing" in told.lines[1]
    told.files.write("a", b"six\n")
    assert len(told.lines) == 2


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.files.write("a", numbered(0, 3))
    with no_file_above(30):
        told.files.write("a", numbered(3, 2))  # half of it would find room
        assert told.read().encode() == numbered(0, 3)
    told.files.write("a", numbered(5, 1))
    missing = b"ERROR 2 lines of a are missing here\n"
    assert told.read().encode() == numbered(0, 3) + missing + numbered(5, 1)


def test_a_line_that_a_killed_supervisor_left_unfinished_spoils_no_other(tmp_path: Path) -> None:
    Told(tmp_path).files.write("a", b"one\ntw")
    told = Told(tmp_path)
    told.files.write("a", b"three\n")
    told.files.write("a", b"four\n")
    assert told.read() == "one\ntw\nthree\nfour\n"


def test_nothing_but_an_ordinary_file_is_written_to(tmp_path: Path) -> None:
    told = Told(tmp_path)
    prepare_log_dir(told.folder)
    (told.folder / "a.log").symlink_to(tmp_path / "precious")
    os.mkfifo(told.folder / "b.log")  # nobody reads it: an open would wait for ever
    told.files.write("a", b"x\n")
    told.files.write("b", b"x\n")
    assert not (tmp_path / "precious").exists()
    assert len(told.lines) == 2


def test_a_directory_that_cannot_be_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file is no directory"):
        check_log_dir(tmp_path / "file" / "log")
    with pytest.raises(ConfigError, match="cannot be made"):
        prepare_log_dir(tmp_path / "file" / "log")
    check_log_dir(tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
