"""uvicorn in a thread with a loop of its own: the door, from its opening to its end.

Lost with the process: what clients had asked and were not told.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvicorn
from loguru import logger

from holdfast.http.app import Door, Limits
from holdfast.http.figures import HttpFigures
from holdfast.http.guard import Guard
from holdfast.http.hub import door_hub
from holdfast.http.protocol import BoundedProtocol, Bounds
from holdfast.http.streams import Streams

__all__ = ["Server", "Settings"]

PAUSE: Final = 1.0  # seconds until an address that is taken is tried again
FAREWELL: Final = 2  # seconds for requests that are under way when it stops
HEADERS: Final = 32 * 1024  # bytes of a request's head


class Settings:
    """What the door is made of; ``listen`` makes a listener where the supervisor had none."""

    def __init__(
        self,
        *,
        run_dir: Path,
        guard: Guard,
        limits: Limits,
        bounds: Bounds,
        max_streams: int,
        heartbeat: float,
        figures: HttpFigures,
        listener: socket.socket | None,
        listen: Callable[[], socket.socket],
    ) -> None:
        self.run_dir, self.guard, self.limits, self.bounds = run_dir, guard, limits, bounds
        self.max_streams, self.heartbeat, self.figures = max_streams, heartbeat, figures
        self.listener, self.listen = listener, listen


class Server:
    """Serves from ``start`` to ``stop``; a failure of it is one of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = threading.Thread(target=self._run, daemon=True, name="http")
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._streams: Streams | None = None
        self._has_come_round = True  # the loop, since it was last asked to

    def start(self) -> None:
        """At once; it is open a moment later."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what is under way, end the streams, let go of the address."""
        self._stopping.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join(timeout=FAREWELL + 1.0)

    def shows_life(self) -> bool:
        """Whether the loop has come round since this was last asked; before it begins, yes."""
        if self._loop is None or not self._has_come_round:
            return self._has_come_round
        self._has_come_round = False
        with suppress(RuntimeError):  # it is closed: the process ends
            self._loop.call_soon_threadsafe(self._come_round)
        return True

    def _come_round(self) -> None:
        self._has_come_round = True

    def _end(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        if self._streams is not None:
            self._streams.close()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            failure = error
        if not self._stopping.is_set():
            # The actor's thread would go on as if nothing was: its supervisor has to know.
            logger.opt(exception=failure).error("the HTTP door has ended by itself")
            os._exit(1)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        given = self._settings
        listener = given.listener or await self._listener()
        if listener is None:
            return
        hub = door_hub(given.run_dir)
        try:
            self._streams = Streams(
                hub=hub,
                max_streams=given.max_streams,
                heartbeat=given.heartbeat,
                figures=given.figures,
            )
            door = Door(
                hub=hub,
                guard=given.guard,
                limits=given.limits,
                streams=self._streams,
                figures=given.figures,
            )
            self._server = uvicorn.Server(_config(door, given.bounds))
            if self._stopping.is_set():
                return
            logger.info("HTTP at {}", given.figures.url)
            await self._server.serve(sockets=[listener])
        finally:
            hub.abandon()

    async def _listener(self) -> socket.socket | None:
        """While another program has the address, wait for it; None: it is to stop meanwhile."""
        is_told = False
        while not self._stopping.is_set():
            try:
                return self._settings.listen()
            except OSError as error:
                if not is_told:
                    logger.warning("HTTP cannot be served: {}; trying on", error)
                    is_told = True
                await asyncio.sleep(PAUSE)
        return None


def _config(door: Door, bounds: Bounds) -> uvicorn.Config:
    # A class of its own: the server makes connections of it, and passes nothing along.
    protocol = type("Protocol", (BoundedProtocol,), {"bounds": bounds})
    return uvicorn.Config(
        door,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # what strangers send is no news, and what fails is logged here
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(bounds.patience)),
        timeout_graceful_shutdown=FAREWELL,
        h11_max_incomplete_event_size=HEADERS,
    )
