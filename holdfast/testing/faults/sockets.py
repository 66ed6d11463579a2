"""A bad network in front of the actors of one tree: it stands in for their sockets.

A Unix socket loses nothing, keeps no order waiting and never goes silent; what holds with this in
between does not rest on that.  Owns copies of bytes on their way; whoever sent them has them too.
"""

from __future__ import annotations

import os
import random
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Final, Literal, Self

import msgspec

from holdfast.testing.faults.plan import Injected, Record
from holdfast.testing.faults.relaying import Direction, Relay

__all__ = ["NetFault", "SocketProxy", "storm"]

LOOK: Final = 0.02  # seconds between looks whether a new root has put its own sockets there

Does = Literal["delay", "split", "duplicate", "reset", "blackhole"]


class NetFault(msgspec.Struct, frozen=True, kw_only=True, tag_field="fault", tag="net"):
    """What happens to the connections to actors whose name matches ``to``, for ``seconds``.

    ``delay``: bytes wait so long, and keep their order.  ``split``: they arrive in small pieces.
    ``duplicate``: what was sent so far arrives once more, on another connection that lasts so
    long.  ``reset``: the connection breaks, in the middle of what is on its way.  ``blackhole``:
    bytes and the end of the connection are swallowed, then it breaks.
    """

    does: Does
    to: str = "*"
    direction: Direction = "both"
    seconds: float = 0.1


def storm(seed: int, names: Iterable[str], count: int) -> list[tuple[float, NetFault]]:
    """That many faults at those actors, each with the seconds that lie before it."""
    chance = random.Random(seed)
    to = sorted(names)
    kinds: tuple[Does, ...] = ("delay", "split", "duplicate", "reset", "blackhole")
    directions: tuple[Direction, ...] = ("up", "down", "both")
    return [
        (
            chance.uniform(0.0, 0.1),
            NetFault(
                does=chance.choice(kinds),
                to=chance.choice(to),
                direction=chance.choice(directions),
                seconds=chance.uniform(0.01, 0.2),
            ),
        )
        for _ in range(count)
    ]


# The number of a socket that was removed is given to the next one, as its time is not.
_File = tuple[int, int]


def _file(status: os.stat_result) -> _File:
    return status.st_ino, status.st_mtime_ns


class SocketProxy:
    """Takes the place of sockets in a run directory until it is closed; has a thread of its own.

    Everybody who connects from then on goes through it: programs, agents, actors among each
    other.  The peer that an actor sees is this process, and so has to be of the same user.
    A root that starts anew puts its own sockets there: their place is taken again within 20 ms.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike[str],
        names: Iterable[str],
        *,
        seed: int = 0,
        record: Record | None = None,
    ) -> None:
        """``seed`` decides where bytes are cut; ``record`` is told of each fault."""
        self._folder = os.open(run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._chance = random.Random(seed)
        self._record = record
        self._selector = selectors.DefaultSelector()
        self._listeners: dict[str, socket.socket] = {}
        self._files: dict[str, _File | None] = dict.fromkeys(names)  # of the listeners
        self._relays: set[Relay] = set()
        self._weather: list[tuple[float, NetFault]] = []  # until when, for those yet to come
        self._waiting: list[NetFault] = []
        self._lock = threading.Lock()  # around what is waiting
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._woken)
        self._ends = False
        self.passed: Counter[str] = Counter()  # connections so far, by actor
        self._thread = threading.Thread(target=self._run, name="sockets", daemon=True)

    def __enter__(self) -> Self:
        self._install()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        os.eventfd_write(self._wakeup, 1)
        self._thread.join()
        for relay in list(self._relays):
            relay.close()
        for name in list(self._listeners):
            self._remove(name)
        self._selector.close()
        os.close(self._wakeup)
        os.close(self._folder)

    def inject(self, fault: NetFault) -> None:
        """Have it begin now, for all connections there are and, while it lasts, come."""
        if self._record is not None:
            self._record.append(
                Injected(
                    process=fault.to,
                    kind=f"net:{fault.does}",
                    target=fault.direction,
                    detail=f"{fault.seconds:.3f}",
                )
            )
        with self._lock:
            self._waiting.append(fault)
        os.eventfd_write(self._wakeup, 1)

    # -- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._ends:
            now = time.monotonic()
            due = min((relay.due for relay in self._relays), default=now + LOOK)
            for key, events in self._selector.select(max(0.0, min(due - now, LOOK))):
                key.data(events)
            now = time.monotonic()
            self._apply(now)
            for relay in list(self._relays):
                relay.pump(now)
            if now - looked > LOOK:
                looked = now
                self._install()

    def _woken(self, _events: int) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)

    def _apply(self, now: float) -> None:
        with self._lock:
            new, self._waiting = self._waiting, []
        self._weather = [item for item in self._weather if item[0] > now]
        for fault in new:
            for relay in list(self._relays):
                if fnmatchcase(relay.name, fault.to):
                    relay.suffer(fault.does, fault.direction, now + fault.seconds)
            if fault.does in ("delay", "split"):
                self._weather.append((now + fault.seconds, fault))

    # -- whose socket it is ------------------------------------------------------------------

    def _install(self) -> None:
        for name, file in self._files.items():
            with suppress(FileNotFoundError):  # no root, or not yet
                there = os.stat(f"{name}.sock", dir_fd=self._folder)
                if _file(there) != file:
                    self._stand_in(name)

    def _stand_in(self, name: str) -> None:
        """Keep the actor's socket under another name, and put ours in its place at once."""
        self._close_listener(name)
        with suppress(FileNotFoundError):
            os.unlink(f"{name}.behind", dir_fd=self._folder)
        os.link(f"{name}.sock", f"{name}.behind", src_dir_fd=self._folder, dst_dir_fd=self._folder)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        os.fchmod(listener.fileno(), 0o600)
        with suppress(FileNotFoundError):
            os.unlink(f"{name}.before", dir_fd=self._folder)
        listener.bind(self._address(f"{name}.before"))
        listener.listen(socket.SOMAXCONN)
        self._listeners[name] = listener
        self._files[name] = _file(os.stat(f"{name}.before", dir_fd=self._folder))
        os.rename(
            f"{name}.before", f"{name}.sock", src_dir_fd=self._folder, dst_dir_fd=self._folder
        )
        self._selector.register(listener, selectors.EVENT_READ, lambda _: self._accept(name))

    def _remove(self, name: str) -> None:
        """Give the place back, if it is still ours and somebody's."""
        self._close_listener(name)
        with suppress(FileNotFoundError):
            there = os.stat(f"{name}.sock", dir_fd=self._folder)
            if _file(there) == self._files[name]:
                os.rename(
                    f"{name}.behind",
                    f"{name}.sock",
                    src_dir_fd=self._folder,
                    dst_dir_fd=self._folder,
                )
        with suppress(FileNotFoundError):
            os.unlink(f"{name}.behind", dir_fd=self._folder)

    def _close_listener(self, name: str) -> None:
        if (listener := self._listeners.pop(name, None)) is not None:
            self._selector.unregister(listener)
            listener.close()

    def _address(self, file: str) -> str:
        return f"/proc/self/fd/{self._folder}/{file}"

    def _accept(self, name: str) -> None:
        try:
            client, _ = self._listeners[name].accept()
        except BlockingIOError:
            return
        client.setblocking(False)
        relay = Relay(
            name,
            client,
            connect=lambda: self._connect(name),
            selector=self._selector,
            chance=self._chance,
            closed=self._relays.discard,
        )
        if relay.is_open:
            self.passed[name] += 1
            self._relays.add(relay)
            for until, fault in self._weather:
                if fnmatchcase(name, fault.to):
                    relay.suffer(fault.does, fault.direction, until)

    def _connect(self, name: str) -> socket.socket | None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self._address(f"{name}.behind"))
        except OSError:  # as a client would find it: it is restarting
            sock.close()
            return None
        return sock
