"""The calls about checkpoints: what they send, how the replies read.  Nothing is kept here."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.actors.calls import Ask, Command, Steps
from holdfast.actors.messages import checkpoints
from holdfast.storage import checkpoint_records, jsontext

__all__ = ["Checkpoint", "get_checkpoint", "list_checkpoints", "put_checkpoint"]


class Checkpoint(msgspec.Struct, frozen=True):
    """A state to resume from; ``state`` is decoded, ``id`` counts from 1 per agent."""

    agent: str
    id: int
    created_us: int
    state: Any


def put_checkpoint(agent: str, state: object, *, timeout: float = 30.0) -> Steps[int]:
    """Keep a state; its id, after COMMIT.  Kept once, whatever is killed meanwhile."""
    reply = yield Command("checkpoints", checkpoints.Put(agent, jsontext.encode(state)), timeout)
    id: int = reply.id
    return id


def get_checkpoint(agent: str, *, timeout: float = 30.0) -> Steps[Checkpoint | None]:
    """The newest one."""
    reply = yield Ask("checkpoints", checkpoints.Get(agent), timeout)
    return None if reply.checkpoint is None else _opened(reply.checkpoint)


def list_checkpoints(
    agent: str, limit: int = 100, *, timeout: float = 30.0
) -> Steps[list[Checkpoint]]:
    """The newest ones, newest first."""
    reply = yield Ask("checkpoints", checkpoints.List(agent, limit), timeout)
    return [_opened(checkpoint) for checkpoint in reply.checkpoints]


def _opened(checkpoint: checkpoint_records.Checkpoint) -> Checkpoint:
    return Checkpoint(
        checkpoint.agent, checkpoint.id, checkpoint.created_us, jsontext.decode(checkpoint.state)
    )
