"""The addresses of the tree: one listening Unix socket per actor and supervisor.

The root makes and keeps them all, so that an address survives its actor and its supervisor:
connects queue in the kernel while a process restarts.  Lost when the root dies: the listeners;
the files of a killed root are replaced by the next one, under the lock.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["Listeners"]


class Listeners:
    """The sockets by name.  Closed or dead, no name of them answers."""

    def __init__(self, run_dir: Path) -> None:
        """``run_dir`` is locked by this process."""
        # A descriptor and not the path: a Unix address holds 107 bytes, and the working
        # directory may change.
        self._folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sockets: dict[str, socket.socket] = {}

    @property
    def sockets(self) -> Mapping[str, socket.socket]:
        """What was opened so far."""
        return self._sockets

    def open(self, names: Iterable[str]) -> None:
        """Listen as ``NAME.sock``, for this user only."""
        for name in names:
            self._unlink(name)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._sockets[name] = listener
            # Before the bind, which takes the mode of the file from the socket's: no moment
            # in which others could connect.
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(f"/proc/self/fd/{self._folder}/{name}.sock")
            listener.listen(socket.SOMAXCONN)

    def close(self) -> None:
        """Close them and remove their files."""
        for name, listener in self._sockets.items():
            self._unlink(name)
            listener.close()
        self._sockets.clear()
        os.close(self._folder)

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{name}.sock", dir_fd=self._folder)
