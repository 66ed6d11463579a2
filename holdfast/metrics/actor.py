"""The actor that serves metrics: it asks what any program may ask, and answers over HTTP.

Owns a port.  Lost when its process dies: what scrapers had asked and were not told; counts stand
at those who count.  It handles no messages; threads serve, each one connection.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from loguru import logger

from holdfast.actors.host import HostedActor
from holdfast.actors.hub import Hub
from holdfast.client import connect
from holdfast.metrics.reading import Readings
from holdfast.metrics.server import Server

__all__ = ["MetricsActor"]

PAUSE: Final = 1.0  # seconds until a port that is taken is tried again


class MetricsActor(HostedActor):
    """Serves at ``address`` and ``port``; while somebody else has the port, it waits for it."""

    def __init__(self, *, address: str, port: int, otel: bool = False) -> None:
        super().__init__()
        self._address, self._port, self._otel = address, port, otel
        self._hub: Hub | None = None
        self._server: Server | None = None
        self._is_told = False

    def on_start(self) -> None:
        """Ready at once: that a port is taken is no reason for the tree not to start."""
        self._hub = connect(os.environ["HOLDFAST_RUN_DIR"], source="agent/metrics")
        self._serve()

    def on_receive(self, message: object) -> None:
        """Nobody sends it anything."""

    def on_stop(self) -> None:
        """Let go of the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._hub is not None:
            self._hub.close(timeout=0.0)

    def _serve(self) -> None:
        assert self._hub is not None
        try:
            readings = Readings(self._hub, otel=self._otel)
            self._server = Server((self._address, self._port), readings)
        except OSError as error:
            if not self._is_told:
                where = f"{self._address}:{self._port}"
                logger.warning("metrics cannot be served at {}: {}; trying on", where, error)
                self._is_told = True
            self.mailbox.later(PAUSE, self._serve)
            return
        logger.info("metrics at http://{}:{}/metrics", self._address, self._port)
        threading.Thread(target=self._server.serve_forever, daemon=True, name="metrics").start()
