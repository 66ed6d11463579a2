"""The directories of a daemon: this user's alone, whatever the umask and whoever was there before.

Who can write to one of them can put another file in the place of ours; who can enter the run
directory can knock at the sockets in it.  What is found open is closed when it is empty, and
refused when it is not: it may be /tmp.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from holdfast.errors import ConfigError

__all__ = ["prepare_data_dir", "prepare_run_dir", "private_dir", "refuse_foreign_links"]

PRIVATE: Final = 0o700
NO_ENTRY: Final = 0o077  # bits of others that a run directory may not have
NO_WRITING: Final = 0o022  # and any other directory


def prepare_data_dir(folder: Path) -> None:
    """Make a directory that only this user can write to.  Raises ConfigError."""
    private_dir("data directory", folder, NO_WRITING)


def prepare_run_dir(folder: Path) -> None:
    """Make a directory that only this user can enter.  Raises ConfigError."""
    private_dir("run directory", folder, NO_ENTRY)


def private_dir(what: str, folder: Path, forbidden: int, hint: str = "use another one") -> None:
    """Make it, or check the one that is there: ours, and without the ``forbidden`` mode bits.

    Raises ConfigError, which calls it ``what``.
    """
    try:
        refuse_foreign_links(what, folder)
        _make(folder)
        _check(what, folder, forbidden, hint)
    except OSError as error:
        raise ConfigError(f"{what} {folder}: cannot be made: {error.strerror}; {hint}") from error


def refuse_foreign_links(what: str, folder: Path) -> None:
    """Raise ConfigError when a link on the way there is neither ours nor root's.

    Its owner could point it elsewhere at any time.
    """
    for place in (folder, *folder.parents):
        try:
            info = place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISLNK(info.st_mode) and info.st_uid not in (0, os.geteuid()):
            raise ConfigError(
                f"{what} {folder}: {place} is a link of uid {info.st_uid}, who can point it "
                "elsewhere: name a path without it"
            )


def _make(folder: Path) -> None:
    """As ``mkdir -p``; what is on the way is never open to be written to by others."""
    for place in reversed(folder.parents):
        if not place.exists():
            place.mkdir(mode=0o755, exist_ok=True)
    is_new = not folder.exists()
    folder.mkdir(mode=PRIVATE, exist_ok=True)
    if is_new:
        folder.chmod(PRIVATE)  # a umask takes bits away from the mode of mkdir


def _check(what: str, folder: Path, forbidden: int, hint: str) -> None:
    # By one descriptor, so that what is checked is what is changed.
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if info.st_uid != os.geteuid():
            raise ConfigError(
                f"{what} {folder}: belongs to uid {info.st_uid}, not to {os.geteuid()}: "
                "use one of your own"
            )
        mode = stat.S_IMODE(info.st_mode)
        if mode & forbidden:
            if os.listdir(fd):
                can = "enter" if mode & forbidden & ~NO_WRITING else "write to"
                raise ConfigError(
                    f"{what} {folder}: others can {can} it (mode {mode:o}) and it is not empty: "
                    f"chmod 700 it, or {hint}"
                )
            os.fchmod(fd, PRIVATE)
    finally:
        os.close(fd)
