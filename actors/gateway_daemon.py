"""KSI's events about the daemon as a whole: how it is, and its checkpoints.

Nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.daemon_checkpoint_calls import (
    create_daemon_checkpoint,
    list_daemon_checkpoints,
    restore_daemon_checkpoint,
)
from holdfast.actors.event_calls import query_events
from holdfast.actors.gateway_events import as_event, moment_of, patterns_of
from holdfast.actors.messages import gateway as said
from holdfast.actors.messages.checkpoints import Participant
from holdfast.actors.messages.supervisor import ChildStatus, GetTree, Tree
from holdfast.actors.supervision_calls import ROOT, read_reply
from holdfast.errors import NotFoundError

__all__ = ["DaemonRequest", "answer_daemon"]

Answer = dict[str, Any]

DaemonRequest = said.Health | said.GetStatus | said.Checkpoint | said.ShortCheckpoint | said.Restore
RUNNING: Final = "running"


def answer_daemon(request: DaemonRequest, figures: Answer, timeout: float) -> Steps[Answer]:
    """What KSI's handler of the event answers; ``figures`` are the gateway's."""
    match request:
        case said.Health():
            return _health(figures, timeout)
        case said.GetStatus():
            return _status(request, timeout)
        case said.Restore():
            return _restore(timeout)
        case _:
            return _create(timeout) if request.action == "create" else _newest(timeout)


def _health(figures: Answer, timeout: float) -> Steps[Answer]:
    tree = read_reply((yield Ask(ROOT, GetTree(), timeout)), Tree)
    actors = dict(_states(tree.root.children))
    return {
        "status": _status_of(actors),
        "daemon": tree.name,
        "version": tree.version,
        "sqlite_version": tree.sqlite_version,
        "uptime": tree.uptime,
        "actors": actors,
        "gateway": figures,
    }


def _status(request: said.GetStatus, timeout: float) -> Steps[Answer]:
    tree = read_reply((yield Ask(ROOT, GetTree(), timeout)), Tree)
    actors = dict(_states(tree.root.children))
    answer: Answer = {"status": _status_of(actors)}
    if request.include_agents:
        answer["agents"] = actors
    if request.include_events:
        found = yield from query_events(
            limit=request.limit,
            reverse=True,
            timeout=timeout,
            types=patterns_of(request.event_patterns),
            since=moment_of("since", request.since),
        )
        answer |= {"events": list(map(as_event, found)), "count": len(found)}
    return answer


def _status_of(actors: dict[str, str]) -> str:
    return "healthy" if set(actors.values()) <= {RUNNING} else "degraded"


def _states(children: Sequence[ChildStatus]) -> Iterator[tuple[str, str]]:
    for child in children:
        yield child.id, child.state
        yield from _states(child.children)


def _create(timeout: float) -> Steps[Answer]:
    created = yield from create_daemon_checkpoint(timeout=timeout)
    infos = yield from list_daemon_checkpoints(1, before=created.id + 1, timeout=timeout)
    return {
        "status": "saved",
        "checkpoint_id": created.id,
        "timestamp": infos[0].created_us / 1e6 if infos else None,
        "participants": list(map(_participant, created.participants)),
    }


def _newest(timeout: float) -> Steps[Answer]:
    infos = yield from list_daemon_checkpoints(1, timeout=timeout)
    if not infos:
        return {"status": "no_checkpoint"}
    (info,) = infos
    return {
        "status": "saved",
        "checkpoint_id": info.id,
        "timestamp": info.created_us / 1e6,
        "size": info.size,
    }


def _restore(timeout: float) -> Steps[Answer]:
    infos = yield from list_daemon_checkpoints(1, timeout=timeout)
    if not infos:
        raise NotFoundError("No checkpoint found: dev:checkpoint with the action create makes one")
    (info,) = infos
    restored = yield from restore_daemon_checkpoint(info.id, timeout=timeout)
    return {
        "status": "restored",
        "checkpoint_id": restored.id,
        "checkpoint_time": info.created_us / 1e6,
        "results": list(map(_restored, restored.participants)),
    }


def _participant(one: Participant) -> Answer:
    return {"name": one.name, "count": one.count, "bytes": one.bytes, "error": one.error or None}


def _restored(one: Participant) -> Answer:
    return {
        "name": one.name,
        "restored": one.restored,
        "skipped": one.skipped,
        "error": one.error or None,
    }
