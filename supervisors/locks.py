"""The directories of a daemon, owned by one root at a time.

``root.lock`` in each directory is flock'ed for the root's life, so the kernel releases it however
the root ends.  The pid inside is for people.  ``boot`` counts the roots that ever owned the data
directory; it must never go back, because every incarnation in the database contains it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from holdfast.errors import AlreadyRunningError, ConfigError, StorageError

__all__ = ["DirectoryLock", "next_boot", "private_file", "raise_boot"]

LOCK = "root.lock"
BOOT = "boot"
UNSEEN = 1_000  # starts that another directory may have seen since a backup was made


class DirectoryLock:
    """A directory that this process owns until ``release`` or its death."""

    def __init__(self, folder: Path) -> None:
        """Raises AlreadyRunningError when another process owns it, ConfigError when none can."""
        self._path = folder / LOCK
        self._fd = -1
        while self._fd < 0:
            fd = self._locked()
            # The former owner may have removed the file between our open and our lock; what we
            # hold then is a lock on nothing.
            if _is_same_file(fd, self._path):
                self._fd = fd
            else:
                os.close(fd)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _locked(self) -> int:
        folder = self._path.parent
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{folder}: cannot create {LOCK} in it: {error.strerror}; "
                "name a directory that this user can write to"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise AlreadyRunningError(
                f"{folder}: belongs to a running daemon, pid {owner}: "
                "stop it, or use another directory"
            ) from None
        return fd

    def release(self) -> None:
        """Remove the file and give the directory up; harmless when it was done."""
        if self._fd >= 0:
            # Before the close: whoever opened it meanwhile sees another file at the path.
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            os.close(self._fd)
            self._fd = -1


def next_boot(folder: Path) -> int:
    """Count this start, on the disk before anything uses the number.

    Raises StorageError when the count cannot be read or written: to guess would repeat numbers.
    """
    boot = (_boot_in(folder) or 0) + 1
    _write_boot(folder, boot)
    return boot


def raise_boot(folder: Path, used: int) -> int:
    """Have the next start count from ``used`` at least; the count there is now.

    A directory that has never seen a start may not be the one where the numbers were used, which
    may have gone on since: then a thousand more are left out.  Raises StorageError.
    """
    boot = _boot_in(folder)
    if boot is None:
        boot = used + UNSEEN if used else 0
    elif boot >= used:
        return boot
    boot = max(boot, used)
    _write_boot(folder, boot)
    return boot


def _boot_in(folder: Path) -> int | None:
    path = folder / BOOT
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from error
    if not text.strip().isdecimal():
        raise StorageError(
            f"{path}: holds {text[:20]!r} instead of a number: write one into it that is "
            "higher than the first part of any incarnation in the database"
        )
    return int(text)


def _write_boot(folder: Path, boot: int) -> None:
    path, new = folder / BOOT, folder / f"{BOOT}.new"
    try:
        new.unlink(missing_ok=True)  # of a start that was killed here
        with open(new, "x", opener=private_file) as file:
            file.write(f"{boot}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync_directory(folder)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


def private_file(path: str, flags: int) -> int:
    """An opener for ``open``: what it makes is this user's alone, whatever the umask."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _sync_directory(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
