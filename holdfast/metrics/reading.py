"""What the daemon says of itself at one moment: the tree, and four of its actors.

Nothing is kept but the newest answers, for half a second, so that ten scrapers cost what one does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from holdfast.actors.hub import Hub
from holdfast.actors.messages import log, query, sessions, writer
from holdfast.actors.messages.supervisor import ChildStatus, GetTree, Tree
from holdfast.actors.messages.swap import GetSwap, SwapIs, SwapStatus
from holdfast.errors import HoldfastError
from holdfast.http.figures import HttpFigures
from holdfast.otel.figures import Figures

__all__ = ["PARTS", "Reading", "Readings", "has_door", "is_amiss", "running", "walk"]

PATIENCE: Final = 2.0  # seconds for each answer; who lives answers in milliseconds
FRESH: Final = 0.5  # seconds
PARTS: Final = ("tree", "writer", "log", "sessions", "query")

T = TypeVar("T")


class Reading(msgspec.Struct, frozen=True):
    """What was answered; None for who did not, or is not running."""

    tree: Tree | None = None
    writer: writer.WriterStats | None = None
    log: log.LogStats | None = None
    sessions: sessions.SessionsStats | None = None
    sizes: query.SizesAre | None = None
    swap: SwapStatus | None = None  # under way
    otel: Figures | None = None
    http: HttpFigures | None = None
    seconds: float = 0.0  # that it took


class Readings:
    """Asked by several threads at once, it asks the daemon once."""

    def __init__(
        self, hub: Hub, *, otel: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._hub = hub
        self._otel = otel  # whether an actor of that name is holdfast's own
        self._now = now
        self._lock = threading.Lock()
        self._newest = Reading()
        self._read_at = -FRESH

    def newest(self) -> Reading:
        """One that is not older than half a second."""
        with self._lock:
            if self._now() - self._read_at >= FRESH:
                self._newest = self._read()
                self._read_at = self._now()
            return self._newest

    def _read(self) -> Reading:
        began = self._now()
        tree = self._ask("root", GetTree(), Tree)
        there = running(tree)
        swap = None if tree is None else self._ask("root", GetSwap(), SwapIs)
        return Reading(
            tree=tree,
            writer=self._of(there, "writer", writer.Stats(), writer.WriterStats),
            log=self._of(there, "log", log.Stats(), log.LogStats),
            sessions=self._of(there, "sessions", sessions.Stats(), sessions.SessionsStats),
            sizes=self._of(there, "query", query.GetSizes(), query.SizesAre),
            swap=None if swap is None or (swap.status and swap.status.is_cut) else swap.status,
            otel=self._of(there, "otel", "figures", Figures) if self._otel else None,
            http=self._ask("http", {}, HttpFigures) if has_door(tree) else None,
            seconds=self._now() - began,
        )

    def _of(self, there: set[str], name: str, question: object, wanted: type[T]) -> T | None:
        return self._ask(name, question, wanted) if name in there else None

    def _ask(self, name: str, question: object, wanted: type[T]) -> T | None:
        try:
            return msgspec.convert(self._hub.ask(name, question, timeout=PATIENCE), wanted)
        except (HoldfastError, msgspec.ValidationError):
            return None


def walk(tree: Tree | None) -> Iterator[ChildStatus]:
    """Every process, in start order."""
    waiting = [] if tree is None else [tree.root]
    while waiting:
        child = waiting.pop(0)
        yield child
        waiting[:0] = child.children


def running(tree: Tree | None) -> set[str]:
    """The names of those that take messages."""
    return {child.id for child in walk(tree) if child.state == "running"}


def has_door(tree: Tree | None) -> bool:
    """Whether the HTTP door runs; an agent of that name elsewhere is somebody's own."""
    return any(
        child.id == "http" and child.state == "running"
        for edge in walk(tree)
        if edge.id == "edge"
        for child in edge.children
    )


def is_amiss(child: ChildStatus) -> bool:
    """Whether it should run and does not; one that ended as its restart type allows is well."""
    has_ended = child.state == "exited" and child.restart != "permanent"
    return child.state != "running" and not has_ended
