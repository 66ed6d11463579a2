"""One connection: uvicorn's HTTP/1.1, and the bounds in time that it has none of.

Owns nothing that outlives the connection.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from holdfast.http.figures import HttpFigures

__all__ = ["BoundedProtocol", "Bounds"]

LOOKS: Final = 4  # within a bound


class Bounds:
    """Of every connection; seconds."""

    def __init__(
        self, *, max_clients: int, patience: float, grace: float, figures: HttpFigures
    ) -> None:
        self.max_clients, self.patience, self.grace = max_clients, patience, grace
        self.figures = figures


class BoundedProtocol(H11Protocol):
    """A request has to be whole within ``patience``, and who does not read has ``grace``."""

    bounds: Bounds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._look_at: asyncio.TimerHandle | None = None
        self._waits_since: float | None = None  # for a request to be whole
        self._has_begun = False  # the first byte of it is there
        self._unread = 0  # bytes, at the last look
        self._read_at = 0.0  # the other end has read something, or there was nothing to read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to look at the clock."""
        super().connection_made(transport)  # type: ignore[arg-type]  # TCP has both directions
        figures = self.bounds.figures
        figures.clients = len(self.connections)
        if figures.clients > self.bounds.max_clients:
            figures.refused += 1
            self.transport.abort()
            return
        self._waits_since = self._read_at = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left of it."""
        super().connection_lost(exc)
        self.bounds.figures.clients = len(self.connections)
        if self._look_at is not None:
            self._look_at.cancel()

    def data_received(self, data: bytes) -> None:
        """A request begins, goes on, or is whole."""
        if not self._has_begun:
            self._has_begun = True
            self._waits_since = self.loop.time()
        super().data_received(data)
        self._is_whole()

    def on_response_complete(self) -> None:
        """The next request may begin."""
        self._waits_since, self._has_begun = self.loop.time(), False
        super().on_response_complete()
        self._is_whole()

    def _is_whole(self) -> None:
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._waits_since = None

    def resume_writing(self) -> None:
        """The other end has read."""
        self._read_at = self.loop.time()
        super().resume_writing()

    def _look(self) -> None:
        now, bounds = self.loop.time(), self.bounds
        unread = self.transport.get_write_buffer_size()
        if unread == 0 or unread < self._unread:
            self._read_at = now
        self._unread = unread
        if now - self._read_at > bounds.grace:
            bounds.figures.slow += 1
            self.transport.abort()
        elif self._waits_since is not None and now - self._waits_since > bounds.patience:
            bounds.figures.late += 1
            self.transport.abort()
        else:
            self._look_at = self.loop.call_later(
                min(bounds.grace, bounds.patience) / LOOKS, self._look
            )
