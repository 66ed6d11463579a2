"""One daemon per directory, and a boot counter that never goes back."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import AlreadyRunningError, ConfigError, StorageError
from holdfast.supervisors.directories import prepare_data_dir, prepare_run_dir
from holdfast.supervisors.locks import DirectoryLock, next_boot, raise_boot

# Locks the directory, says how that went, and ends when its standard input does.
HOLDER = """
import sys
from pathlib import Path
from holdfast.errors import HoldfastError
from holdfast.supervisors.locks import DirectoryLock
try:
    lock = DirectoryLock(Path(sys.argv[1]))
except HoldfastError as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(1)
print("owner", flush=True)
sys.stdin.read()
lock.release()
"""
TIMEOUT = 20.0


def hold(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], TIMEOUT)[0]
    return process.stdout.readline().strip()


def test_a_second_owner_is_refused_and_told_the_first(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        assert said(first) == "owner"
        with pytest.raises(AlreadyRunningError) as error:
            DirectoryLock(tmp_path)
        assert str(error.value) == (
            f"{tmp_path}: belongs to a running daemon, pid {first.pid}: "
            "stop it, or use another directory"
        )
        first.communicate(timeout=TIMEOUT)
    assert list(tmp_path.iterdir()) == []
    DirectoryLock(tmp_path).release()


def test_the_lock_of_a_killed_owner_is_free(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        assert said(first) == "owner"
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=TIMEOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["root.lock"]
    lock = DirectoryLock(tmp_path)
    assert (tmp_path / "root.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_of_many_at_once_one_is_the_owner(tmp_path: Path) -> None:
    for _ in range(3):
        holders = [hold(tmp_path) for _ in range(8)]
        answers = sorted(said(holder) for holder in holders)
        assert answers.pop() == "owner"
        assert all(answer.startswith("AlreadyRunningError ") for answer in answers)
        for holder in holders:
            holder.communicate(timeout=TIMEOUT)
        assert list(tmp_path.iterdir()) == []


def test_a_lock_is_not_taken_on_a_file_that_was_removed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that ends between our open and our lock removes the file that we hold."""
    first = DirectoryLock(tmp_path)
    locked = DirectoryLock._locked

    def late(self: DirectoryLock) -> int:
        fd = os.open(tmp_path / "root.lock", os.O_RDWR)
        monkeypatch.setattr(DirectoryLock, "_locked", locked)
        first.release()
        return fd

    monkeypatch.setattr(DirectoryLock, "_locked", late)
    second = DirectoryLock(tmp_path)
    with pytest.raises(AlreadyRunningError):
        DirectoryLock(tmp_path)
    second.release()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir(0o555)
    if os.geteuid() != 0:
        with pytest.raises(ConfigError) as error:
            DirectoryLock(folder)
        found = str(error.value)
    else:
        found = _as_nobody(folder)
    assert found.startswith(f"{folder}: cannot create root.lock in it: Permission denied; name a")


def _as_nobody(folder: Path) -> str:
    """What locking says to somebody without the superuser's rights to write anywhere."""
    out, into = os.pipe()
    if os.fork() == 0:
        # Entered first: the way to it may be closed to nobody.
        os.chdir(folder)
        os.setuid(65534)
        try:
            DirectoryLock(Path("."))
        except ConfigError as error:
            os.write(into, str(error).encode())
        finally:
            os._exit(0)
    os.close(into)
    os.wait()
    with os.fdopen(out) as file:
        return f"{folder}{file.read().removeprefix('.')}"


def test_directories_are_made_for_this_user_only(tmp_path: Path) -> None:
    for prepare, name in ((prepare_data_dir, "a/b/data"), (prepare_run_dir, "a/b/run")):
        prepare(tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_a_run_directory_that_others_can_enter_is_closed_only_when_empty(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    prepare_run_dir(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    tmp_path.chmod(0o755)
    (tmp_path / "somebody's").touch()
    with pytest.raises(ConfigError, match=r"others can enter it \(mode 755\)"):
        prepare_run_dir(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a directory away")
def test_a_run_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to uid 12345"):
        prepare_run_dir(folder)


@pytest.mark.parametrize("prepare", [prepare_data_dir, prepare_run_dir])
def test_a_file_where_a_directory_should_be_is_named(tmp_path: Path, prepare: object) -> None:
    file = tmp_path / "file"
    file.touch()
    assert callable(prepare)
    with pytest.raises(ConfigError, match=f"{file}: cannot be made: File exists"):
        prepare(file)


def test_boots_are_counted(tmp_path: Path) -> None:
    assert [next_boot(tmp_path) for _ in range(3)] == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["boot"]


def test_a_boot_counter_that_was_cut_off_before_the_rename_is_no_harm(tmp_path: Path) -> None:
    next_boot(tmp_path)
    (tmp_path / "boot.new").write_text("9")
    assert next_boot(tmp_path) == 2


@pytest.mark.parametrize("content", ["", "x", "-1", "1.5"])
def test_a_boot_counter_that_cannot_be_read_is_not_guessed(tmp_path: Path, content: str) -> None:
    (tmp_path / "boot").write_text(content)
    with pytest.raises(StorageError, match=r"boot: holds '.*' instead of a number"):
        next_boot(tmp_path)
    assert (tmp_path / "boot").read_text() == content


def test_a_restore_raises_the_boot_and_never_lowers_it(tmp_path: Path) -> None:
    """A directory that never saw a start may not be the one where the numbers were used."""
    assert raise_boot(tmp_path, 0) == 0
    assert next_boot(tmp_path) == 1
    assert raise_boot(tmp_path, 7) == 7
    assert raise_boot(tmp_path, 3) == 7
    assert next_boot(tmp_path) == 8
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert raise_boot(elsewhere, 7) == 1_007
    assert next_boot(elsewhere) == 1_008
