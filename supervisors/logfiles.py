"""One file of lines for each actor, in a directory of the daemon's; their size is bounded.

A file is opened for every write: one that was moved or removed by somebody is made anew, nothing
has to be noticed, and a supervisor needs no descriptor for each of its children.  What was written
survives the death of every process.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from holdfast.errors import ConfigError
from holdfast.supervisors.directories import NO_WRITING, private_dir

__all__ = ["LogFiles", "check_log_dir", "prepare_log_dir"]

# Without O_NONBLOCK a named pipe at the place would hold up the supervisor for ever.
FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# Makes a line of the log; the level and the text.
Note = Callable[[str, str], bytes]


class LogFiles:
    """The files of one supervisor's children; nobody else writes to them.

    A file is renamed when the next lines would make it larger than ``max_bytes``: ``.log`` to
    ``.log.1``, and so on up to ``backups``; 0 bytes: never.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        backups: int,
        note: Note,
        tell: Callable[[bytes], None],
    ) -> None:
        """``tell`` takes lines about files that cannot be written; ``note`` makes them."""
        self._folder = folder
        self.max_bytes = max_bytes
        self.backups = backups
        self._note = note
        self._tell = tell
        self._lost: dict[str, int] = {}  # lines since a file could be written, by actor
        self._begun: set[Path] = set()  # files that were written to in this life

    def write(self, actor: str, lines: bytes) -> None:
        """Append whole lines; those that cannot be are counted."""
        path = self._folder / f"{actor}.log"
        for part in self._parts(lines):
            lost = self._lost.get(actor, 0)
            missing = self._note("ERROR", f"{lost} lines of {actor} are missing here")
            try:
                self._append(path, missing + part if lost else part)
            except OSError as error:
                if not lost:
                    why = f"{path}: cannot be written: {error.strerror}; its lines are counted"
                    self._tell(self._note("ERROR", why))
                self._lost[actor] = lost + part.count(b"\n")
            else:
                if self._lost.pop(actor, 0):
                    text = f"{path}: can be written again; {lost} lines are missing in it"
                    self._tell(self._note("WARNING", text))

    def _parts(self, lines: bytes) -> Iterator[bytes]:
        """As much as goes into one file."""
        limit = self.max_bytes // 2
        while limit and len(lines) > limit:
            end = lines.rfind(b"\n", 0, limit) + 1 or lines.find(b"\n", limit) + 1
            yield lines[:end]
            lines = lines[end:]
        if lines:
            yield lines

    def _append(self, path: Path, lines: bytes) -> None:
        """All of it or nothing.  Raises OSError."""
        fd = self._open(path)
        try:
            size = os.fstat(fd).st_size
            if path not in self._begun and size and os.pread(fd, 1, size - 1) != b"\n":
                lines = b"\n" + lines  # a SIGKILL can end a write between two pages
            if self.max_bytes and size and size + len(lines) > self.max_bytes:
                self._rotate(path)
                os.close(fd)
                fd = -1
                fd, size = self._open(path), 0
            if os.write(fd, lines) < len(lines):
                os.ftruncate(fd, size)  # half a line would spoil the next one
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._begun.add(path)
        finally:
            if fd >= 0:
                os.close(fd)

    def _open(self, path: Path) -> int:
        try:
            fd = os.open(path, FLAGS, 0o600)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, FLAGS, 0o600)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is no ordinary file")
        return fd

    def _rotate(self, path: Path) -> None:
        name = path.name
        for number in range(self.backups - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.replace(
                    path.with_name(f"{name}.{number}"), path.with_name(f"{name}.{number + 1}")
                )
        if self.backups:
            os.replace(path, path.with_name(f"{name}.1"))
        else:
            path.unlink()
        number = self.backups + 1
        with suppress(FileNotFoundError):
            while True:  # of a time when more were kept
                path.with_name(f"{name}.{number}").unlink()
                number += 1


def prepare_log_dir(folder: Path) -> None:
    """Make the directory if there is none, for this user only.  Raises ConfigError."""
    hint = "[daemon] log_dir names another one"
    private_dir("log directory", folder, NO_WRITING, hint)


def check_log_dir(folder: Path) -> None:
    """Raise ConfigError where it certainly cannot be made or used; makes nothing."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        reason = f"{there} is no directory"
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = f"{there} cannot be written to by this user"
    else:
        return
    raise ConfigError(f"log directory {folder}: {reason}; [daemon] log_dir names another one")
