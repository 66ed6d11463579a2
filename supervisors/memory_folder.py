"""Where a database in memory is: a file that every process of the daemon can be killed beside.

Owns the folder in the machine's shared memory.  Lost with the machine, and with a stop in order;
whatever is killed, the root too, finds it again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from holdfast.errors import ConfigError
from holdfast.supervisors.directories import private_dir

__all__ = ["make_memory_folder", "memory_folder", "remove_memory_folder"]

MEMORY: Final = Path("/dev/shm")
OTHERS: Final = 0o077  # mode bits


def memory_folder(data_dir: Path) -> Path:
    """The one that belongs to a data directory, whose lock the root has."""
    name = hashlib.sha256(os.path.realpath(data_dir).encode()).hexdigest()[:16]
    return MEMORY / f"holdfast-{os.getuid()}-{name}"


def make_memory_folder(folder: Path) -> None:
    """Make it for this user only.  Raises ConfigError."""
    if not MEMORY.is_dir():
        raise ConfigError(f'[storage] backend = "memory": this machine has no {MEMORY}')
    private_dir("memory directory", folder, OTHERS, "remove it: anybody can make one there")


def remove_memory_folder(folder: Path) -> None:
    """With the database."""
    shutil.rmtree(folder, ignore_errors=True)
