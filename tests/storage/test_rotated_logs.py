"""Response logs that are rotated: read all the same, compressed, and deleted for room."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.errors import DiskFullError
from holdfast.storage.response_logs import DAY_US
from tests.storage.response_folder import Folder, closed, folder

__all__ = ["closed", "folder"]


def test_a_repeat_is_recognised_behind_others_and_in_rotated_parts(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files", rotate=4_096)
    seq = folder.append("s", "mine", 7)
    for n in range(200):
        folder.append("s", "x" * 100 + str(n))
    folder.pack_all()
    assert len(folder.names) > 3
    folder.reopen()
    assert folder.append("s", "mine", 7, again=True) == seq
    assert folder.append("other", "mine", 7, again=True) == 1, "another session's"


def test_a_file_is_rotated_by_size_compressed_and_still_read(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files", rotate=4_096)
    for n in range(300):
        folder.append("s", f"{n}" + "x" * 50)
    plain = folder.bytes
    assert folder.values("s") == [f"{n}" + "x" * 50 for n in range(300)]
    folder.pack_all()
    assert folder.bytes < plain / 3
    assert folder.catalog.used == folder.bytes
    assert [name for name in folder.names if not name.endswith(".zst")] == ["s.jsonl"]
    for reopened in (False, True):
        if reopened:
            folder.reopen()
        for after in (0, 17, 299):
            assert folder.values("s", after)[0].rstrip("x") == str(after)
        assert folder.catalog.used == folder.bytes
    assert folder.append("s", "next") == 301


def test_a_file_is_rotated_on_the_next_day(folder: Folder) -> None:
    folder.append("s", 1)
    folder.reopen()
    folder.clock.advance(DAY_US / 1e6)
    assert folder.append("s", 2) == 2
    assert folder.names == ["s.000000000001-000000000001.jsonl", "s.jsonl"]
    assert folder.append("s", 3) == 3
    assert folder.values("s") == [1, 2, 3]


def test_a_kill_at_any_point_of_compressing_leaves_one_whole_part(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files", rotate=4_096)
    for n in range(40):
        folder.append("s", "x" * 100 + str(n))
    wanted = folder.values("s")
    plain = {name: (folder.folder / "logs" / name).read_bytes() for name in folder.names}
    folder.logs.pack()  # under way
    assert any(name.endswith(".draft") for name in folder.names)
    folder.reopen()
    assert folder.values("s") == wanted
    assert not any(name.endswith(".draft") for name in folder.names)
    folder.pack_all()
    for name, content in plain.items():  # killed before the plain ones were deleted
        (folder.folder / "logs" / name).write_bytes(content)
    folder.reopen()
    assert folder.values("s") == wanted
    assert folder.catalog.used == folder.bytes


def test_the_oldest_rotated_parts_go_first_when_the_bound_is_reached(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files", rotate=4_096, bound=40_000)
    for n in range(600):
        folder.append(f"s{n % 3}", "x" * 100 + str(n))
        assert folder.bytes <= 40_000
    assert folder.catalog.used == folder.bytes
    assert folder.catalog.deleted_parts > 0
    for session in ("s0", "s1", "s2"):
        numbers = [int(value.lstrip("x")) for value in folder.values(session)]
        assert numbers[-1] in (597, 598, 599), "the newest are there"
        assert numbers == list(range(numbers[0], 600, 3)), "what is left has no holes"


def test_what_finds_no_room_is_refused_and_nothing_of_it_is_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files", bound=1_000)
    folder.append("s", "x" * 300)
    before = folder.bytes
    for session in ("s", "new"):
        with pytest.raises(DiskFullError, match="max_bytes = 1000"):
            folder.append(session, "y" * 900)
    assert folder.bytes == before
    assert folder.names == ["s.jsonl"]
    assert folder.append("s", "small") == 2
    assert folder.logs.delete("s")
    assert folder.append("new", "y" * 700) == 1
    assert folder.catalog.used == folder.bytes
