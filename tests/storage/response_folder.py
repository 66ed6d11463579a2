"""Response logs in a folder of a test, and again after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.storage.file_catalog import Catalog
from holdfast.storage.jsonl_lines import Sent
from holdfast.storage.response_logs import ResponseLogs, Rotation
from tests.clock import ManualClock

__all__ = ["MANY", "Folder", "closed", "folder"]

MANY = 10_000_000


OPEN: list[Folder] = []


class Folder:
    """Response logs in a folder, and again after a kill."""

    def __init__(self, folder: Path, *, rotate: int = MANY, bound: int = MANY, files: int = 4):
        self.folder = folder
        self.clock = ManualClock()
        self._rotation = Rotation(max_bytes=rotate, daily=True, open_files=files)
        self._bound = bound
        self._locked: Catalog | None = None
        self.reopen()
        OPEN.append(self)

    def reopen(self) -> None:
        """As after SIGKILL: nothing but the folder is left."""
        self.close()
        self.catalog = self._locked = Catalog(self.folder, max_bytes=self._bound)
        self.logs = ResponseLogs(self.catalog, rotation=self._rotation, clock=self.clock)

    def close(self) -> None:
        """Its lock goes with a process."""
        if self._locked is not None:
            self._locked.close()
            self._locked = None

    def append(self, session: str, value: object, number: int = 0, *, again: bool = False) -> int:
        sent = Sent("planner", "1.1", number) if number else None
        return self.logs.append(session, json.dumps({"v": value}), sent, is_repeat=again)

    def values(self, session: str, after: int = 0) -> list[Any]:
        page = self.logs.read(session, after=after, limit=MANY, max_bytes=MANY)
        return [json.loads(bytes(line.record))["v"] for line in page.lines]

    def pack_all(self) -> None:
        while self.logs.is_packing:
            self.logs.pack()

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "logs").iterdir())

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Whatever a test opens is closed after it."""
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "files")
