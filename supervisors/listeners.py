"""The addresses of the tree: one listening Unix socket per actor and supervisor.

The root makes and keeps those that the config names, so that an address survives its actor and its
supervisor: connects queue in the kernel while a process restarts.  Those of children that are added
later are their supervisor's, and last as long as it.  Lost when their maker dies: the listeners;
the files of a killed one are replaced by the next, or removed with the root's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from holdfast.supervisors.ports import Ports

__all__ = ["Listeners"]


class Listeners:
    """The sockets by name.  Closed or dead, no name of them answers."""

    def __init__(self, run_dir: Path, inherited: Mapping[str, socket.socket] | None = None) -> None:
        """``run_dir`` is locked by the root; it made the ``inherited``."""
        # A descriptor and not the path: a Unix address holds 107 bytes, and the working
        # directory may change.
        self._folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sockets = dict(inherited or {})
        self.ports = Ports()  # of children of the one that has these
        # Made here, with the identity of their files: another may stand there by now.
        self._own: dict[str, tuple[int, int]] = {}

    @property
    def sockets(self) -> Mapping[str, socket.socket]:
        """What is open."""
        return self._sockets

    def open(self, names: Iterable[str]) -> None:
        """Listen as ``NAME.sock``, for this user only."""
        for name in names:
            self._unlink(name)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._sockets[name] = listener
            self._own[name] = 0, 0
            # Before the bind, which takes the mode of the file from the socket's: no moment
            # in which others could connect.
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(self._address(name))
            self._own[name] = self._identity(name)
            listener.listen(socket.SOMAXCONN)

    def ensure(self, names: Iterable[str], *, without: Iterable[str] = ()) -> None:
        """Have these open; of those ``without``, close what was made here.

        A supervisor that was told of another child made its address itself, and has died since.
        """
        for name in without:
            if name in self._own:
                self.drop(name)
        self.open([name for name in names if name not in self._sockets])

    def is_taken(self, name: str) -> bool:
        """Whether somebody listens under that name, here or in another process."""
        if name in self._sockets:
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            return probe.connect_ex(self._address(name)) in (0, errno.EAGAIN)

    def is_own(self, name: str) -> bool:
        """Whether it was made here."""
        return name in self._own

    def drop(self, name: str) -> None:
        """Close one that was made here, and remove its file: nobody listens there any more."""
        with contextlib.suppress(FileNotFoundError):
            if self._own.pop(name, None) == self._identity(name):
                self._unlink(name)
        self._sockets.pop(name).close()

    def close(self) -> None:
        """Close those that were made here, and remove their files."""
        for name in list(self._own):
            self.drop(name)
        self.ports.close()
        os.close(self._folder)

    def sweep(self) -> None:
        """Remove what killed supervisors have left of theirs; for the root, which owns all."""
        for name in os.listdir(self._folder):
            if name.endswith(".sock"):
                self._unlink(name.removesuffix(".sock"))

    def _identity(self, name: str) -> tuple[int, int]:
        found = os.stat(f"{name}.sock", dir_fd=self._folder)
        return found.st_dev, found.st_ino

    def _address(self, name: str) -> str:
        return f"/proc/self/fd/{self._folder}/{name}.sock"

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{name}.sock", dir_fd=self._folder)
