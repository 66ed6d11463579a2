"""The vocabulary of the checkpoints actor."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from holdfast.storage.checkpoint_records import Checkpoint

__all__ = [
    "CheckpointIs",
    "CheckpointsAre",
    "Get",
    "List",
    "Put",
    "Reply",
    "Request",
    "Saved",
    "decode_reply",
    "decode_request",
]


class Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """Keep a state to resume from; a command.  Reply: Saved, after COMMIT.

    ``state`` is JSON text.
    """

    agent: str
    state: str


class Get(msgspec.Struct, frozen=True, array_like=True, tag="get"):
    """The newest checkpoint of an agent.  Reply: CheckpointIs."""

    agent: str


class List(msgspec.Struct, frozen=True, array_like=True, tag="list"):
    """The newest ``limit`` checkpoints of an agent, newest first.  Reply: CheckpointsAre."""

    agent: str
    limit: int = 100


class Saved(msgspec.Struct, frozen=True, array_like=True, tag="saved"):
    """The state is committed; ``id`` counts from 1 per agent."""

    id: int


class CheckpointIs(msgspec.Struct, frozen=True, array_like=True, tag="checkpoint"):
    """The checkpoint, or None where there is none."""

    checkpoint: Checkpoint | None


class CheckpointsAre(msgspec.Struct, frozen=True, array_like=True, tag="checkpoints"):
    """The checkpoints asked for."""

    checkpoints: list[Checkpoint]


Request = Put | Get | List
Reply = Saved | CheckpointIs | CheckpointsAre

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode
