"""The wait for a lock whose process was killed and is not gone yet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import AlreadyRunningError
from holdfast.storage import file_lock
from holdfast.storage.file_catalog import LOCK, Catalog
from holdfast.storage.sqlite_lock import WriterLock

HOLD = """
import fcntl, sys
with open(sys.argv[1], "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""
PLENTY = 30.0  # seconds; none of them is waited for


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A file that another process has locked."""
    path = tmp_path / LOCK
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield path, process
        process.kill()


def end_in_the_first_wait(
    monkeypatch: pytest.MonkeyPatch, process: subprocess.Popen[str]
) -> list[float]:
    """The holder is killed when it is waited for, not before; the waits."""
    waits: list[float] = []

    def kill_and_pause(seconds: float) -> None:
        process.kill()
        process.wait(PLENTY)
        waits.append(seconds)

    monkeypatch.setattr(file_lock, "_pause", kill_and_pause)
    return waits


def test_a_writer_waits_for_the_last_one_that_is_dying(
    held: tuple[Path, subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, process = held
    waits = end_in_the_first_wait(monkeypatch, process)
    WriterLock(str(path.with_suffix("")), patience=PLENTY).release()
    assert waits


def test_files_wait_for_the_last_owner_that_is_dying(
    held: tuple[Path, subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, process = held
    waits = end_in_the_first_wait(monkeypatch, process)
    Catalog(path.parent, max_bytes=1, patience=PLENTY).close()
    assert waits


def test_one_that_does_not_end_is_named_when_patience_has(
    held: tuple[Path, subprocess.Popen[str]],
) -> None:
    path, _ = held
    with pytest.raises(AlreadyRunningError, match="stop it, or use another path"):
        WriterLock(str(path.with_suffix("")), patience=0.01)
    with pytest.raises(AlreadyRunningError, match="another process writes to it"):
        Catalog(path.parent, max_bytes=1, patience=0.01)
