"""The running daemon as the commands see it: its supervisors' answers and its processes."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from holdfast.actors.hub import Hub
from holdfast.actors.messages.supervisor import ChildStatus, GetTree, Tree
from holdfast.cli.options import ask_timeout
from holdfast.client import connect, is_there, not_found
from holdfast.errors import DeliveryError, HoldfastError

__all__ = ["Processes", "connected", "family", "http_of", "tree_of", "walk"]


DOOR_TIMEOUT: Final = 2.0  # seconds; status has to come also when the HTTP door hangs


@contextmanager
def connected(run_dir: Path) -> Iterator[Hub]:
    """A hub to the daemon at ``run_dir``.

    Raises DaemonNotFoundError, also when the daemon ends meanwhile.
    """
    try:
        with connect(run_dir) as hub:
            yield hub
    except DeliveryError:
        if is_there(run_dir):
            raise
        raise not_found(run_dir) from None


def tree_of(hub: Hub) -> Tree:
    """What the root answers about the whole tree."""
    return msgspec.convert(hub.ask("root", GetTree(), timeout=ask_timeout), Tree)


def walk(status: ChildStatus, depth: int = 0) -> Iterator[tuple[int, ChildStatus]]:
    """A child and all below it, each with its depth, in start order."""
    yield depth, status
    for child in status.children:
        yield from walk(child, depth + 1)


def http_of(hub: Hub, tree: Tree) -> dict[str, object] | None:
    """Where the HTTP door is, which file has its token, and what it counts; None without one.

    ``error`` alone where it does not answer.
    """
    from holdfast.metrics.reading import has_door

    if not has_door(tree):
        return None
    try:
        reply = hub.ask("http", {}, timeout=DOOR_TIMEOUT)
    except HoldfastError as error:
        return {"error": str(error)}
    return reply if isinstance(reply, dict) and "url" in reply else None


class Processes:
    """The processes of one daemon, held by descriptors that no recycled pid can mislead."""

    def __init__(self, root: int) -> None:
        self._descriptors: dict[int, int] = {}  # by pid
        for pid in family(root):
            try:
                self._descriptors[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                continue  # ended meanwhile

    def wait(self, timeout: float) -> list[int]:
        """Wait until all have ended; the pids that are left after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        poll = select.poll()
        left = {descriptor: pid for pid, descriptor in self._descriptors.items()}
        for descriptor in left:
            poll.register(descriptor, select.POLLIN)
        while left and (remaining := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(remaining * 1000):
                poll.unregister(descriptor)
                del left[descriptor]
        return sorted(left.values())

    def close(self) -> None:
        """Let go of the descriptors."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()


def family(root: int) -> list[int]:
    """``root`` and the processes below it: the zygotes stand in no supervisor's answer."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent_of(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _parent_of(process: Path) -> int | None:
    try:
        stat = (process / "stat").read_bytes()
    except OSError:  # ended meanwhile
        return None
    # The name in parentheses may hold anything; the parent is the second field after it.
    return int(stat.rpartition(b")")[2].split()[1])
