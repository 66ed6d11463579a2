"""The actor of the HTTP door: a program like any other that happens to live in the tree.

Owns a token and connections, no state.  Lost when its process dies: the connections, streams
included, which go on behind the last id that a client has seen; the port is its supervisor's, and
whoever connects meanwhile is kept waiting.  Its mailbox answers anything with its figures.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from holdfast.actors.host import HostedActor
from holdfast.http.app import Limits
from holdfast.http.figures import HttpFigures
from holdfast.http.guard import Guard
from holdfast.http.protocol import Bounds
from holdfast.http.server import Server, Settings
from holdfast.http.tokens import token_of
from holdfast.supervisors.ports import listening_at

__all__ = ["HttpActor"]


class HttpActor(HostedActor):
    """The keyword arguments are the keys of ``[http]``."""

    def __init__(
        self,
        *,
        listener: socket.socket | None,
        address: str,
        port: int,
        token: str,
        hosts: Sequence[str],
        origins: Sequence[str],
        max_clients: int,
        max_streams: int,
        max_body: int,
        max_answer: int,
        timeout: float,
        patience: float,
        grace: float,
        heartbeat: float,
    ) -> None:
        super().__init__()
        run_dir = Path(os.environ["HOLDFAST_RUN_DIR"])
        secret, token_file = token_of(token, run_dir)
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._figures = HttpFigures(url=f"http://{where}", token_file=token_file)
        bounds = Bounds(
            max_clients=max_clients, patience=patience, grace=grace, figures=self._figures
        )
        self._server = Server(
            Settings(
                run_dir=run_dir,
                guard=Guard(token=secret, hosts=hosts, origins=origins),
                limits=Limits(max_body, max_answer, timeout),
                bounds=bounds,
                max_streams=max_streams,
                heartbeat=heartbeat,
                figures=self._figures,
                listener=listener,
                listen=partial(listening_at, where),
            )
        )

    def on_start(self) -> None:
        """Ready at once: that a port is taken is no reason for the tree not to start."""
        self._server.start()

    def on_receive(self, message: object) -> Any:
        """Figures, whatever is asked."""
        return msgspec.to_builtins(self._figures)

    def _holdfast_shows_life(self) -> bool:
        """The loop in its thread is what may hang; that this one does not says nothing."""
        return self._server.shows_life()

    def on_stop(self) -> None:
        """Close the door."""
        self._server.stop()
