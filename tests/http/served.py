"""An agent that listens at an address of its own, which its supervisor keeps."""

from __future__ import annotations

import os
import socket
import threading

import holdfast


class Served(holdfast.Agent):
    """Says its pid to whoever connects."""

    def __init__(self, *, listener: socket.socket | None) -> None:
        super().__init__()
        self._listener = listener

    def on_start(self) -> None:
        if self._listener is not None:
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        assert self._listener is not None
        self._listener.setblocking(True)
        while True:
            with self._listener.accept()[0] as client:
                client.sendall(str(os.getpid()).encode())
