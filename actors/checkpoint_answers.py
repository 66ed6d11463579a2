"""What the checkpoints actor answers from the database alone, a statement or a few each.

Keeps nothing.  Replies are bounded: what does not fit is asked for again.
"""

from __future__ import annotations

import os
import re
from typing import Final

from holdfast.actors.messages import checkpoints
from holdfast.storage.checkpoint_pieces import names_in
from holdfast.storage.checkpoint_records import Checkpoint, Owner
from holdfast.storage.ports import Reader

__all__ = ["Question", "answer"]

MAX_LIST: Final = 1_000
REPLY_BYTES: Final = 4 * 1024 * 1024  # half a frame
FEW: Final = 10  # checkpoints read at once, so that states that are large do not come together

Question = (
    checkpoints.Get
    | checkpoints.GetParts
    | checkpoints.FindParts
    | checkpoints.List
    | checkpoints.ListInfos
    | checkpoints.GetHistory
    | checkpoints.ListThreads
    | checkpoints.GetOwner
)
_CLIENT: Final = re.compile(r"client/(\d+)-[0-9a-f]+")


def answer(reader: Reader | None, question: Question) -> checkpoints.Reply:
    """``reader`` is None as long as there is no database."""
    match question:
        case checkpoints.Get(agent=agent, id=id, pin=pin):
            found = None if reader is None else reader.checkpoint(agent, id, pin)
            if reader is None or found is None:
                return checkpoints.CheckpointIs(None)
            if not found.pieces:
                return checkpoints.CheckpointIs(found)
            parts = reader.checkpoint_parts(names_in(found.pieces), REPLY_BYTES)
            return checkpoints.CheckpointIs(found, parts)
        case checkpoints.GetParts(names=names):
            return checkpoints.PartsAre(
                [] if reader is None else reader.checkpoint_parts(names, REPLY_BYTES)
            )
        case checkpoints.FindParts(names=names):
            return checkpoints.Missing(
                names if reader is None else reader.missing_checkpoint_parts(names)
            )
        case checkpoints.List():
            return _page(reader, question)
        case _:
            return _about_threads(reader, question)


def _about_threads(
    reader: Reader | None,
    question: checkpoints.ListInfos
    | checkpoints.GetHistory
    | checkpoints.ListThreads
    | checkpoints.GetOwner,
) -> checkpoints.Reply:
    match question:
        case checkpoints.ListInfos(agent=agent, limit=limit, before=before):
            limit = _bounded(limit)
            infos = [] if reader is None else reader.checkpoint_infos(agent, limit, before)
            return checkpoints.InfosAre(infos)
        case checkpoints.GetHistory(agent=agent, id=id, limit=limit):
            limit = _bounded(limit)
            infos = [] if reader is None else reader.checkpoint_history(agent, id, limit)
            return checkpoints.InfosAre(infos)
        case checkpoints.ListThreads(limit=limit, after=after):
            limit = _bounded(limit)
            return checkpoints.ThreadsAre(
                [] if reader is None else reader.checkpoint_threads(limit, after)
            )
        case checkpoints.GetOwner(agent=agent):
            owner = None if reader is None else reader.checkpoint_owner(agent)
            return checkpoints.OwnerIs(owner, owner is not None and _is_dead(owner))


def _page(reader: Reader | None, question: checkpoints.List) -> checkpoints.CheckpointsAre:
    limit, before = _bounded(question.limit), question.before
    found: list[Checkpoint] = []
    size = 0
    while reader is not None and len(found) < limit:
        some = reader.checkpoints(question.agent, min(FEW, limit - len(found)), before)
        if not some:
            break
        for checkpoint in some:
            size += len(checkpoint.state) + 40 * len(names_in(checkpoint.pieces))
            if size > REPLY_BYTES and found:
                return checkpoints.CheckpointsAre(found, more=True)
            found.append(checkpoint)
        before = some[-1].id
    return checkpoints.CheckpointsAre(found)


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_LIST))


def _is_dead(owner: Owner) -> bool:
    """Whether the program is certainly gone: its pid is nobody's.

    Of actors the supervisor knows, and their next life comes by itself.
    """
    client = _CLIENT.match(owner.sender)
    return client is not None and not os.path.exists(f"/proc/{client[1]}")
