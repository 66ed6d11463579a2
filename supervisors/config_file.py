"""The config file of a daemon: what it says now, and whether it has changed since.

The root owns one.  Nothing is kept but what the file was when it was last read.
"""

from __future__ import annotations

import importlib
import os
import stat
from pathlib import Path

import msgspec

from holdfast.errors import ConfigError
from holdfast.supervisors.config import load_settings
from holdfast.supervisors.plan import environment_of, root_spec
from holdfast.supervisors.settings import Settings
from holdfast.supervisors.spec import Environment, SupervisorSpec

__all__ = ["ConfigFile", "Look", "Read"]

# Modification time in ns, bytes, inode and device: what tells one state of a file from another.
Look = tuple[int, int, int, int]


class Read(msgspec.Struct, frozen=True):
    """What the file said, checked; ``look`` is what it was then."""

    settings: Settings
    spec: SupervisorSpec
    environment: Environment
    look: Look | None


class ConfigFile:
    """``data_dir`` and ``run_dir`` win over what the file says, if they are given."""

    def __init__(self, path: Path, *, data_dir: Path | None, run_dir: Path | None) -> None:
        self.path = path
        self._data_dir = data_dir
        self._run_dir = run_dir

    def read(self) -> Read:
        """Raises ConfigError."""
        look = self.look()
        settings = load_settings(self.path)
        data, runs = (
            (given or Path(configured)).absolute()
            for given, configured in (
                (self._data_dir, settings.daemon.data_dir),
                (self._run_dir, settings.daemon.run_dir),
            )
        )
        environment = environment_of(settings, data_dir=data, run_dir=runs)
        return Read(settings, root_spec(settings), environment, look)

    def read_again(self) -> Read:
        """In the root, which must not wait for a pipe's other end.  Raises ConfigError."""
        try:
            is_file = stat.S_ISREG(os.stat(self.path).st_mode)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}") from error
        if not is_file:
            raise ConfigError(f"{self.path}: no file: only one can be read again")
        importlib.invalidate_caches()  # modules may have come since
        return self.read()

    def look(self) -> Look | None:
        """What it is now; None while it is not there."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
