"""What ``top`` shows, asked of the daemon once a second by a thread that may wait.

Kept in this process only: the connection, made anew when the daemon is another one, and the last
sample of the tree, since rates are differences.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from holdfast.actors.event_calls import Event
from holdfast.actors.hub import Hub
from holdfast.actors.messages.supervisor import ChildStatus, GetTree, Tree
from holdfast.actors.messages.swap import SwapRecord, SwapStatus
from holdfast.actors.session_calls import SessionPage
from holdfast.client import connect
from holdfast.errors import HoldfastError
from holdfast.top.rates import Row, rows_of

__all__ = ["Feed", "Shot", "View"]

View = Literal["tree", "events", "sessions"]

PATIENCE: Final = 2.0  # seconds for each answer
EVENTS: Final = 100  # asked for at a time; what came between is counted, not shown
BEHIND: Final = 1_000  # numbers that a filter looks back: they are in the ring
SESSIONS: Final = 200
REMEMBERED: Final = 60.0  # seconds that the end of a swap is shown


class Shot(msgspec.Struct, frozen=True):
    """The daemon at one moment; ``problem`` says why there is nothing new."""

    problem: str = ""
    tree: Tree | None = None
    rows: list[Row] = []
    events: list[Event] = []  # newer than those of the shot before, in order
    skipped: int = 0  # numbers before them that were not looked at
    sessions: SessionPage | None = None
    swap: SwapStatus | None = None  # under way
    swapped: SwapRecord | None = None  # what became of it, for a minute


class Feed:
    """One thread reads; orders may be given from others meanwhile."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.hub: Hub | None = None
        self._guard = threading.Lock()  # of ``hub``: who closes it and who uses it
        self._root = 0  # pid of the root that it is connected to
        self._before: tuple[float, Tree] | None = None
        self._seen = 0  # the number of the last event that was shown
        self._types = ""
        self._commit_point = ""  # where the data is, as of the look before
        self._swap = ""  # the one that was under way then
        self._swapped: SwapRecord | None = None
        self._swapped_at = 0.0

    def read(self, view: View, types: str = "") -> Shot:
        """The next shot; ``types`` is a glob for events, "" is all."""
        try:
            with self._guard:
                hub = self.hub = self.hub or connect(self.run_dir, source="top")
            tree = msgspec.convert(hub.ask("root", GetTree(), timeout=PATIENCE), Tree)
            if self._root not in (0, tree.root.pid):
                self._forget()  # it was started anew
            self._root = tree.root.pid or 0
            rows = self._rows(tree)
        except HoldfastError as error:
            self.close()
            self._forget()
            return Shot(problem=str(error))
        return self._extended(hub, self._with_swap(hub, Shot(tree=tree, rows=rows)), view, types)

    def close(self) -> None:
        """Let go of the connection; the next read makes another."""
        with self._guard:
            hub, self.hub = self.hub, None
        if hub is not None:
            hub.close(timeout=0.0)

    def _forget(self) -> None:
        self._before, self._root, self._seen = None, 0, 0
        self._commit_point, self._swapped = "", None

    def _rows(self, tree: Tree) -> list[Row]:
        now = time.monotonic()
        rows = rows_of(tree.root, self._before[1].root if self._before else None, self._span(now))
        self._before = now, tree
        return rows

    def _span(self, now: float) -> float:
        return now - self._before[0] if self._before else 0.0

    def _with_swap(self, hub: Hub, shot: Shot) -> Shot:
        """With how far the data's move is; with its outcome, also of one that no look saw."""
        try:
            found = hub.supervision.swap(timeout=PATIENCE)
            point = f"{found.backend} {found.since}"
            moved = self._commit_point not in ("", point)
            if found.status is None and (self._swap or moved):
                self._swapped = next(iter(hub.supervision.swaps(limit=1, timeout=PATIENCE)), None)
                self._swapped_at = time.monotonic()
        except HoldfastError as error:
            return msgspec.structs.replace(shot, problem=str(error))
        self._commit_point = point
        self._swap = "" if found.status is None else found.status.swap
        if found.status is not None or time.monotonic() - self._swapped_at > REMEMBERED:
            self._swapped = None
        return msgspec.structs.replace(shot, swap=found.status, swapped=self._swapped)

    def _extended(self, hub: Hub, shot: Shot, view: View, types: str) -> Shot:
        """With what the view shows besides; that its actor is down is told, the tree shown."""
        try:
            if view == "events":
                events, skipped = self._events(hub, types)
                return msgspec.structs.replace(shot, events=events, skipped=skipped)
            if view == "sessions":
                page = hub.sessions.list(limit=SESSIONS, timeout=PATIENCE)
                return msgspec.structs.replace(shot, sessions=page)
        except HoldfastError as error:
            return msgspec.structs.replace(shot, problem=str(error))
        return shot

    def _events(self, hub: Hub, types: str) -> tuple[list[Event], int]:
        if types != self._types:
            self._types, self._seen = types, 0
        newest = hub.events.tail(1 if types else EVENTS, payloads=False, timeout=PATIENCE)
        last = newest[-1].seq if newest else 0
        seen, self._seen = self._seen, last
        if not types:
            fresh = [event for event in newest if event.seq > seen]
            first = fresh[0].seq if fresh else last + 1
            return fresh, first - seen - 1 if seen else 0
        after = max(seen, last - BEHIND)
        found = hub.events.query(
            types=types, after=after, limit=EVENTS, reverse=True, payloads=False, timeout=PATIENCE
        )
        looked = found[-1].seq - 1 if len(found) == EVENTS else after
        return found[::-1], looked - seen if seen else 0


def child_in(tree: Tree | None, name: str) -> tuple[ChildStatus, str] | None:
    """An actor, and the name of its supervisor; None when there is none of that name."""
    waiting = [] if tree is None else [(tree.root, "")]
    while waiting:
        child, above = waiting.pop()
        if child.id == name:
            return child, above
        waiting += [(below, child.id) for below in child.children]
    return None
