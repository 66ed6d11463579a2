"""The calls that look after checkpoints: history, forks, pins, pruning.  Nothing is kept here."""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.actors.calls import Ask, Command, Steps
from holdfast.actors.messages import checkpoints
from holdfast.errors import InvalidInputError
from holdfast.storage import checkpoint_records as records

__all__ = [
    "CheckpointInfo",
    "Pruned",
    "checkpoint_history",
    "checkpoint_threads",
    "fork_checkpoint",
    "list_infos",
    "pin_checkpoint",
    "prune_checkpoints",
    "unpin_checkpoint",
]

PAGE: Final = 1_000


class CheckpointInfo(msgspec.Struct, frozen=True):
    """A checkpoint without its state; fields as those of Checkpoint."""

    agent: str
    id: int
    created_us: int
    size: int
    parent: tuple[str, int] | None
    pins: tuple[str, ...]


class Pruned(msgspec.Struct, frozen=True):
    """The checkpoints that are gone, or would be, by thread; ``freed`` bytes of parts with them.

    A dry run does not know what would be freed: parts may be others', too.
    """

    checkpoints: dict[str, list[int]]
    freed: int
    dry_run: bool

    @property
    def count(self) -> int:
        """How many checkpoints."""
        return sum(map(len, self.checkpoints.values()))


def list_infos(
    agent: str, limit: int = 100, *, before: int = 0, timeout: float = 30.0
) -> Steps[list[CheckpointInfo]]:
    """The newest checkpoints below id ``before``, newest first, without their states."""
    reply = yield Ask("checkpoints", checkpoints.ListInfos(agent, limit, before), timeout)
    return [_info(info) for info in reply.infos]


def checkpoint_history(
    agent: str, id: int | None = None, *, limit: int = 100, timeout: float = 30.0
) -> Steps[list[CheckpointInfo]]:
    """A checkpoint, the newest by default, and what it came after, through forks.

    It ends where a parent has been pruned, or there was none.
    """
    if id is None:
        reply = yield Ask("checkpoints", checkpoints.ListInfos(agent, 1), timeout)
        if not reply.infos:
            return []
        id = reply.infos[0].id
    reply = yield Ask("checkpoints", checkpoints.GetHistory(agent, id, limit), timeout)
    return [_info(info) for info in reply.infos]


def checkpoint_threads(*, timeout: float = 30.0) -> Steps[list[str]]:
    """The names of all threads that have a checkpoint, in order."""
    found: list[str] = []
    while True:
        ask = checkpoints.ListThreads(PAGE, found[-1] if found else "")
        reply = yield Ask("checkpoints", ask, timeout)
        found += reply.names
        if len(reply.names) < PAGE:
            return [name for name in found if name != records.DAEMON]


def fork_checkpoint(agent: str, id: int, new_thread: str, *, timeout: float = 30.0) -> Steps[int]:
    """Begin a thread with the state of a checkpoint; the id there.  Nothing is copied.

    Raises InvalidInputError when there is no such checkpoint, or the thread has some.
    """
    fork = records.ForkCheckpoint(None, agent, id, new_thread)
    reply = yield Command("writer", fork, timeout)
    return int(reply.id)


def pin_checkpoint(agent: str, id: int, name: str, *, timeout: float = 30.0) -> Steps[int]:
    """Give a checkpoint a name, by which it is got and not pruned; a name that exists moves.

    The id that had the name before, 0 if none.  Raises InvalidInputError where there is no such
    checkpoint.
    """
    reply = yield Command("writer", records.PinCheckpoint(None, agent, id, name), timeout)
    return int(reply.moved_from)


def unpin_checkpoint(agent: str, name: str, *, timeout: float = 30.0) -> Steps[bool]:
    """Take a name away; whether there was one.  The checkpoint stays until it is pruned."""
    reply = yield Command("writer", records.UnpinCheckpoint(None, agent, name), timeout)
    return bool(reply.existed)


def prune_checkpoints(
    agent: str | None = None,
    *,
    keep_last: int | None = None,
    max_age: float | None = None,
    keep_pinned: bool = True,
    dry_run: bool = False,
    timeout: float = 30.0,
) -> Steps[Pruned]:
    """Delete checkpoints of one thread, or of all; parts go when nobody names them any more.

    A checkpoint stays if it is one of the newest ``keep_last`` (1 at least), if it is younger
    than ``max_age`` seconds, or if it is pinned.  It is done in small transactions: what is
    killed half-way is begun again and misses nothing.  ``timeout`` bounds each of them.
    """
    if keep_last is None and max_age is None:
        raise InvalidInputError("prune: give keep_last, max_age, or both")
    if keep_last is not None and keep_last < 1:
        raise InvalidInputError(f"keep_last = {keep_last}: expected 1 or more")
    if max_age is not None and not max_age >= 0:
        raise InvalidInputError(f"max_age = {max_age}: expected seconds >= 0")
    threads = [agent] if agent is not None else (yield from checkpoint_threads(timeout=timeout))
    gone: dict[str, list[int]] = {}
    freed = 0
    for thread in threads:
        ids, bytes_ = yield from _prune(
            thread, keep_last or 1, max_age, keep_pinned, dry_run, timeout
        )
        freed += bytes_
        if ids:
            gone[thread] = ids
    return Pruned(gone, freed, dry_run)


def _prune(
    agent: str,
    keep_last: int,
    max_age: float | None,
    keep_pinned: bool,
    dry_run: bool,
    timeout: float,
) -> Steps[tuple[list[int], int]]:
    age_us = -1 if max_age is None else round(max_age * 1_000_000)
    ids: list[int] = []
    freed, more = 0, True
    while more:
        after = ids[-1] if ids else 0
        prune = records.PruneCheckpoints(
            None, agent, keep_last, age_us, keep_pinned, after, dry_run=dry_run
        )
        reply = yield Command("writer", prune, timeout)
        ids += reply.ids
        freed += reply.freed
        more = reply.more
    return ids, freed


def _info(info: records.Info) -> CheckpointInfo:
    return CheckpointInfo(
        info.agent, info.id, info.created_us, info.size, info.parent, tuple(info.pins)
    )
