"""Named results: replaced as a whole, and once."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import Conflict, DiskFullError, StorageError
from holdfast.storage.file_catalog import Catalog
from holdfast.storage.jsonl_lines import Sent
from holdfast.storage.result_files import ResultFiles
from tests.clock import ManualClock

OPEN: list[Results] = []


class Results:
    """The results of a folder, and again after a kill."""

    def __init__(self, folder: Path, bound: int = 1_000_000) -> None:
        self.folder = folder
        self._bound = bound
        self._locked: Catalog | None = None
        self.reopen()
        OPEN.append(self)

    def reopen(self) -> None:
        self.close()
        self.catalog = self._locked = Catalog(self.folder, max_bytes=self._bound)
        self.files = ResultFiles(self.catalog, clock=ManualClock())

    def close(self) -> None:
        """Its lock goes with a process."""
        if self._locked is not None:
            self._locked.close()
            self._locked = None

    def put(
        self,
        value: str,
        *,
        sender: str = "a",
        number: int = 1,
        expected: int | None = None,
        again: bool = False,
    ) -> int:
        sent = Sent(sender, "1", number)
        return self.files.put("r", value, sent, expected=expected, is_repeat=again)

    @property
    def value(self) -> str:
        found = self.files.get("r")
        assert found is not None
        return bytes(found.value).decode()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Whatever a test opens is closed after it."""
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "files")


def test_a_result_is_replaced_and_counts_its_versions(results: Results) -> None:
    assert results.files.get("r") is None
    assert results.put("1") == 1
    assert results.put('{"a": 2}', number=2) == 2
    results.reopen()
    assert results.value == '{"a": 2}'
    assert results.put("3", number=3) == 3


def test_a_version_that_is_not_the_expected_one_changes_nothing(results: Results) -> None:
    results.put("1", expected=0)
    with pytest.raises(Conflict) as refused:
        results.put("2", number=2, expected=0)
    assert (refused.value.expected, refused.value.current) == (0, 1)
    assert results.value == "1"
    assert results.put("2", number=3, expected=1) == 2


def test_a_repeat_changes_nothing_also_when_another_was_faster(results: Results) -> None:
    assert results.put("1", sender="a", expected=0) == 1
    assert results.put("2", sender="b") == 2
    results.reopen()
    assert results.put("1", sender="a", expected=0, again=True) == 1
    assert results.value == "2"
    assert results.put("3", sender="a", number=2, again=True) == 3, "it never came"


def test_a_kill_between_writing_and_renaming_leaves_the_old_one(results: Results) -> None:
    results.put("1")
    draft = results.folder / "results" / "r.json.draft"
    draft.write_bytes(b'{"name": "r", "vers')
    results.reopen()
    assert results.value == "1"
    assert not draft.exists()


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_the_old_one_whole(
    results: Results, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.put("1")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(Path if call == "rename" else os, call, fail)
        with pytest.raises(DiskFullError):
            results.put("2", number=2)
    assert results.value == "1"
    assert [path.name for path in (results.folder / "results").iterdir()] == ["r.json"]
    assert results.put("2", number=2, again=True) == 2


def test_the_bound_holds_for_results_too(tmp_path: Path) -> None:
    results = Results(tmp_path / "files", bound=1_000)
    results.put('"' + "x" * 300 + '"')
    with pytest.raises(DiskFullError):
        results.put('"' + "x" * 900 + '"', number=2)
    assert results.value == '"' + "x" * 300 + '"'
    assert results.files.delete("r")
    assert results.catalog.used == 0


def test_a_result_that_was_damaged_is_told_and_can_be_deleted(results: Results) -> None:
    results.put("1")
    (results.folder / "results" / "r.json").write_bytes(b"{")
    for call in (lambda: results.files.get("r"), lambda: results.put("2", number=2)):
        with pytest.raises(StorageError, match="delete it"):
            call()
    assert results.files.delete("r")
    assert results.put("2", number=3) == 1


def test_long_names_are_listed_as_they_are(results: Results) -> None:
    names = ["a", "A", "../b", "x" * 900]
    for name in names:
        results.files.put(name, "1", None, expected=None, is_repeat=False)
    results.reopen()
    found, after = results.files.list("", 3)
    more, end = results.files.list(after, 3)
    assert sorted(one.name for one in (*found, *more)) == sorted(names)
    assert end == ""
