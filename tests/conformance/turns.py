"""A line to PostgreSQL's socket that counts how often somebody waited for the server."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

__all__ = ["Turns"]

CHUNK = 256 * 1024


class Turns:
    """``taken`` counts the server's answers to all that was said since the one before.

    In a pipeline the server answers when it is asked to, so each is a wait of the client.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.taken = 0
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._passing = threading.Thread(target=self._pass_all)

    def __enter__(self) -> Self:
        self._passing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._passing.join()
        self._listener.close()

    def _pass_all(self) -> None:
        """One connection after the other."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, socket.socket(socket.AF_UNIX) as server:
                    server.connect(str(self._server / ".s.PGSQL.5432"))
                    self._pass(client, server)

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            is_asked = False
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(CHUNK)  # type: ignore[union-attr]  # a socket
                    if not data:
                        return
                    if key.fileobj is server and is_asked:
                        self.taken += 1
                    is_asked = key.fileobj is client
                    key.data.sendall(data)
