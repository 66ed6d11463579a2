"""Response logs at the storage level: torn tails, rotation, compression, repeats, the bound."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import AlreadyRunningError, DiskFullError, StorageError
from holdfast.storage.file_catalog import Catalog
from holdfast.storage.jsonl_lines import Sent
from tests.storage.response_folder import MANY, Folder, closed, folder

__all__ = ["closed", "folder"]


def test_records_are_numbered_from_one_and_read_back_in_order(folder: Folder) -> None:
    assert [folder.append("s", n) for n in range(5)] == [1, 2, 3, 4, 5]
    assert folder.values("s") == [0, 1, 2, 3, 4]
    assert folder.values("s", after=3) == [3, 4]
    assert folder.values("nobody") == []
    folder.reopen()
    assert folder.append("s", 5) == 6


def test_a_page_ends_at_its_limits_and_says_so(folder: Folder) -> None:
    for n in range(10):
        folder.append("s", n)
    page = folder.logs.read("s", after=2, limit=3, max_bytes=MANY)
    assert ([line.seq for line in page.lines], page.last, page.more) == ([3, 4, 5], 10, True)
    page = folder.logs.read("s", after=2, limit=MANY, max_bytes=1)
    assert ([line.seq for line in page.lines], page.more) == ([3], True), "at least one"
    page = folder.logs.read("s", after=9, limit=1, max_bytes=MANY)
    assert ([line.seq for line in page.lines], page.more) == ([10], False)


RECORDS = ["one", "zwei ä", "три \U0001f40d"]


def torn_at(cut: int | None, folder: Path) -> tuple[Folder, bytes]:
    """A log of three records whose file ends after ``cut`` bytes."""
    made = Folder(folder)
    for value in RECORDS:
        # As msgspec and most others write it: letters as they are, not as escapes.
        made.logs.append("s", json.dumps({"v": value}, ensure_ascii=False), None, is_repeat=False)
    path = folder / "logs" / "s.jsonl"
    whole = path.read_bytes()
    if cut is not None:
        os.truncate(path, cut)
    made.reopen()
    return made, whole


def test_a_file_cut_at_any_byte_keeps_every_whole_record_and_takes_the_next() -> None:
    """Scenario D14: a torn last line, a cut inside a letter, a missing newline, an empty file."""
    with tempfile.TemporaryDirectory() as base:
        _, whole = torn_at(None, Path(base, "whole"))
        for cut in range(len(whole) + 1):
            made, _ = torn_at(cut, Path(base, str(cut)))
            kept = whole[:cut]
            # A record of which only the newline is gone is whole.
            complete = kept.count(b"\n") + (whole[cut : cut + 1] == b"\n")
            assert made.values("s") == RECORDS[:complete], "read before it is repaired"
            assert made.append("s", "next") == complete + 1
            assert made.values("s") == [*RECORDS[:complete], "next"]
            torn = b"" if complete > kept.count(b"\n") else kept[kept.rfind(b"\n") + 1 :]
            aside = Path(base, str(cut), "logs", "s.jsonl.torn")
            assert (aside.read_bytes() if aside.exists() else b"") == (torn and torn + b"\n")
            assert made.logs.torn_lines == bool(torn)
            made.logs.close()
            made.close()


@given(st.binary(max_size=60), st.integers(0, 3))
def test_whatever_stands_at_the_end_of_a_file_the_next_record_is_intact(
    garbage: bytes, newlines: int
) -> None:
    with tempfile.TemporaryDirectory() as base:
        made, _ = torn_at(None, Path(base))
        with Path(base, "logs", "s.jsonl").open("ab") as file:
            file.write(garbage + b"\n" * newlines)
        made.reopen()
        assert made.append("s", "next") == 4
        assert made.values("s") == [*RECORDS, "next"]
        made.reopen()
        assert made.values("s", after=2) == [RECORDS[2], "next"]
        made.logs.close()
        made.close()


def test_damage_in_the_middle_is_passed_over_and_counted(folder: Folder) -> None:
    for n in range(50):
        folder.append("s", n)
    path = folder.folder / "logs" / "s.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[10] = b"\0" * len(lines[10])  # a hole, as a power cut leaves it
    lines[11] = lines[11][:-5]
    path.write_bytes(b"\n".join(lines))
    folder.reopen()
    left = [n for n in range(50) if n not in (10, 11)]
    for after in range(50):
        page = folder.logs.read("s", after=after, limit=MANY, max_bytes=MANY)
        assert [line.seq - 1 for line in page.lines] == [n for n in left if n >= after], after
    assert folder.logs.read("s", after=0, limit=MANY, max_bytes=MANY).damaged == 2
    assert folder.append("s", 50) == 51


def test_repeats_are_recognised_in_the_file_itself(folder: Folder) -> None:
    """Several of one sender were under way when the actor died: all come again, in order."""
    for number, value in ((1, "a"), (3, "b"), (4, "c")):
        folder.append("s", value, number)
    folder.logs.append("s", json.dumps({"v": "d"}), Sent("critic", "1.2", 3), is_repeat=False)
    folder.reopen()
    for number, value, seq in ((1, "a", 1), (3, "b", 2), (4, "c", 3), (6, "e", 5), (6, "e", 5)):
        assert folder.append("s", value, number, again=True) == seq
    assert folder.append("s", "x", 5, again=True) == 6, "its place in the numbering is not enough"
    assert folder.values("s") == ["a", "b", "c", "d", "e", "x"]


def test_a_full_disk_leaves_nothing_half_written(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario D3, at any byte: the disk takes the first part of a record and no more."""
    folder.append("s", "a")
    real_write, room = os.write, 0

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real_write(descriptor, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", write)
    before = (folder.folder / "logs" / "s.jsonl").read_bytes()
    for taken in range(20):
        room = taken
        with pytest.raises(DiskFullError):
            folder.append("s", "b" * 50)
        assert (folder.folder / "logs" / "s.jsonl").read_bytes() == before
        room = taken
        with pytest.raises(DiskFullError):
            folder.append("new", "b" * 50)
        assert folder.names == ["s.jsonl"]
    room = MANY
    assert folder.append("s", "b") == 2
    assert folder.values("s") == ["a", "b"]


def test_a_disk_that_also_refuses_to_cut_is_repaired_by_the_next_append(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.append("s", "a")

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    real_write = os.write
    with monkeypatch.context() as broken:
        broken.setattr(os, "ftruncate", fail)
        broken.setattr(os, "write", lambda fd, data: real_write(fd, data[:5]) and fail())
        with pytest.raises(StorageError):
            folder.append("s", "b")
    assert folder.values("s") == ["a"], "what is left of it is not read"
    assert folder.append("s", "c") == 2
    assert folder.values("s") == ["a", "c"]
    folder.reopen()
    assert folder.values("s") == ["a", "c"]


def test_so_many_files_are_open_and_no_more(folder: Folder) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for n in range(100):
        folder.append(f"s{n % 20}", n)
    assert len(os.listdir("/proc/self/fd")) <= before + 4
    assert folder.values("s7") == [7, 27, 47, 67, 87]
    while folder.logs.is_unsynced:
        folder.logs.sync_next()
    folder.logs.close()
    assert len(os.listdir("/proc/self/fd")) <= before, "and those that were open before"


def test_a_round_of_fsyncs_ends_however_much_is_appended_meanwhile(folder: Folder) -> None:
    for session in ("a", "b", "c"):
        folder.append(session, 1)
    rounds = []
    for n in range(6):
        rounds.append(folder.logs.sync_next())
        folder.append(f"new {n}", 1)
        folder.append("a", 2)
    assert rounds[:3] == [True, True, False]
    assert folder.logs.is_unsynced
    folder.append("gone", 1)
    folder.logs.delete("gone")
    while folder.logs.is_unsynced:
        folder.logs.sync_next()


def test_a_second_process_on_the_folder_is_refused(folder: Folder, tmp_path: Path) -> None:
    """Scenario D7: also where two daemons name one folder by mistake."""
    with pytest.raises(AlreadyRunningError, match="another process"):
        Catalog(tmp_path / "files", max_bytes=MANY)
    folder.close()
    Catalog(tmp_path / "files", max_bytes=MANY).close()


def test_every_session_is_listed_once_page_by_page(folder: Folder) -> None:
    sessions = ["a", "A", "../a", "é", "e\u0301", "x" * 500, "X" * 500, "%41", "con", "a.jsonl"]
    for session in sessions:
        folder.append(session, session)
    for reopened in (False, True):
        if reopened:
            folder.reopen()
        found: list[str] = []
        after = ""
        while True:
            page, after = folder.logs.list(after, 3)
            found += [one.session for one in page]
            if not after:
                break
        assert sorted(found) == sorted(sessions)
        assert [folder.values(session) for session in sessions] == [[s] for s in sessions]
    assert sum(one.bytes for one in folder.logs.list("", 100)[0]) == folder.bytes


def test_a_deleted_session_is_gone_with_all_its_files(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files", rotate=4_096)
    for n in range(100):
        folder.append("s", "x" * 100 + str(n))
    folder.append("kept", 1)
    folder.logs.pack()  # under way
    (folder.folder / "logs" / "s.jsonl.torn").write_bytes(b"x")
    folder.reopen()
    folder.logs.pack()
    assert folder.logs.delete("s") is True
    assert folder.logs.delete("s") is False
    assert folder.names == ["kept.jsonl"]
    assert folder.catalog.used == folder.bytes
    folder.pack_all()
    assert folder.append("s", "again") == 1


def test_a_link_in_the_place_of_a_file_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (folder.folder / "logs" / "s.jsonl").symlink_to(outside)
    with pytest.raises(StorageError):
        folder.append("s", 1)
    assert outside.read_bytes() == b"precious"
