"""The calls about checkpoints: what they send, how the replies read.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast.actors.calls import Ask, Command, Now, Steps
from holdfast.actors.messages import checkpoints
from holdfast.errors import HoldfastError, InvalidInputError, OwnedError, StorageError
from holdfast.storage import checkpoint_records as records
from holdfast.storage import jsontext
from holdfast.storage import parts as parting

__all__ = [
    "Checkpoint",
    "claim_thread",
    "get_checkpoint",
    "list_checkpoints",
    "put_checkpoint",
    "to_json",
]

MAX_STATE: Final = 256 * 1024 * 1024  # bytes of JSON text: it is in memory here as a whole
ASK_FIRST: Final = 32 * 1024  # bytes of parts: above, those that are there already are not sent
TOGETHER: Final = 4 * 1024 * 1024  # bytes of parts that travel in one message, half a frame
TRIES: Final = 3  # parts may be pruned between two questions, hardly thrice


class Checkpoint(msgspec.Struct, frozen=True):
    """A state to resume from; ``state`` is decoded, ``id`` counts from 1 per agent.

    ``parent`` is the one it came after, as (thread, id); ``size`` bytes of JSON text; ``pins``
    the names that it has.
    """

    agent: str
    id: int
    created_us: int
    state: Any
    parent: tuple[str, int] | None = None
    size: int = 0
    pins: tuple[str, ...] = ()


def put_checkpoint(
    agent: str, state: object, *, takeover: bool = False, timeout: float = 30.0
) -> Steps[int]:
    """Keep a state; its id, after COMMIT.  Kept once, whatever is killed meanwhile.

    The first put of a thread makes it this program's, until it disconnects or dies; OwnedError
    for anybody else, unless with ``takeover``.  Raises InvalidInputError for a state that JSON
    cannot hold, or that is over 256 MiB of it.
    """
    layout = parting.lay_out(state)
    if layout.size > MAX_STATE:
        raise InvalidInputError(
            f"a state of {layout.size} bytes is over the bound of {MAX_STATE}: keep large files "
            "elsewhere and their names here"
        )
    end = (yield Now()) + timeout
    missing: Iterable[bytes] = layout.parts
    if sum(map(len, layout.parts.values())) > ASK_FIRST:
        found = yield Ask("checkpoints", checkpoints.FindParts(list(layout.parts)), timeout)
        missing = found.names
    evict = 0
    for _ in range(TRIES):
        news = parting.pack({name: layout.parts[name] for name in missing})
        news = yield from _upload(news, end)
        store = records.StoreCheckpoint(
            None, agent, 0, layout.state, layout.pieces, news, layout.size, takeover, evict
        )
        outcome = yield Command("writer", store, (yield from _rest(end)))
        match outcome:
            case records.CheckpointStored(id=id):
                return int(id)
            case records.PartsMissing(names=names):
                missing = names
            case records.ThreadOwned():
                missing, evict = news_names(news), (yield from _evictable(outcome, end))
    raise StorageError(f"the checkpoint of {agent!r} lost its parts to a prune thrice: put again")


def news_names(news: Iterable[records.Part]) -> list[bytes]:
    """What was sent along and not kept."""
    return [part.name for part in news]


def claim_thread(agent: str, *, takeover: bool = False, timeout: float = 30.0) -> Steps[int]:
    """Be the one who writes a thread; how many owners it has had.

    Raises OwnedError when somebody else is, unless with ``takeover``: then that one is refused.
    """
    end = (yield Now()) + timeout
    evict = 0
    for _ in range(TRIES):
        claim = records.ClaimThread(None, agent, takeover, evict)
        outcome = yield Command("writer", claim, (yield from _rest(end)))
        if isinstance(outcome, records.ThreadClaimed):
            return outcome.fence
        evict = yield from _evictable(outcome, end)
    raise _owned(outcome)


def get_checkpoint(
    agent: str, id: int | None = None, *, pin: str | None = None, timeout: float = 30.0
) -> Steps[Checkpoint | None]:
    """The newest one, or that of an id or of a pinned name; None where there is none.

    Raises StorageError when it is damaged.
    """
    if id is not None and id < 1:
        raise InvalidInputError(f"id = {id}: expected 1 or more")
    end = (yield Now()) + timeout
    for _ in range(TRIES):
        get = checkpoints.Get(agent, id or 0, pin or "")
        reply = yield Ask("checkpoints", get, (yield from _rest(end)))
        if reply.checkpoint is None:
            return None
        found = yield from _opened(reply.checkpoint, reply.parts, end)
        if found is not None:
            return found
    raise _vanished(agent)


def list_checkpoints(
    agent: str, limit: int = 100, *, timeout: float = 30.0
) -> Steps[list[Checkpoint]]:
    """The newest ones, newest first, with their states; ``history`` is without."""
    end = (yield Now()) + timeout
    found: list[Checkpoint] = []
    before, more = 0, True
    while more and len(found) < limit:
        page = checkpoints.List(agent, limit - len(found), before)
        reply = yield Ask("checkpoints", page, (yield from _rest(end)))
        more = reply.more
        for each in reply.checkpoints:
            before = each.id
            opened = yield from _opened(each, [], end)
            if opened is not None:  # pruned meanwhile
                found.append(opened)
    return found


def to_json(checkpoint: Checkpoint) -> str:
    """A checkpoint as JSON text, its state as ``jsontext`` writes it."""
    fields = {name: getattr(checkpoint, name) for name in checkpoint.__struct_fields__}
    return jsontext.encode(fields)


def _upload(news: list[records.Part], end: float) -> Steps[list[records.Part]]:
    """Send parts ahead as long as they are too much for one message; those that are left."""
    size = sum(len(part.data) for part in news)
    if size <= TOGETHER:
        return news
    some: list[records.Part] = []
    size = 0
    for part in news:
        if some and size + len(part.data) > TOGETHER:
            yield Ask("writer", records.StoreParts(None, some), (yield from _rest(end)))
            some, size = [], 0
        some.append(part)
        size += len(part.data)
    yield Ask("writer", records.StoreParts(None, some), (yield from _rest(end)))
    return []


def _evictable(owned: records.ThreadOwned, end: float) -> Steps[int]:
    """The fence of an owner that is dead.  Raises OwnedError when it is not known to be."""
    ask = checkpoints.GetOwner(owned.agent)
    reply = yield Ask("checkpoints", ask, (yield from _rest(end)))
    if reply.is_dead and reply.owner == owned.owner:
        return owned.owner.fence
    raise _owned(owned)


def _owned(owned: records.ThreadOwned) -> OwnedError:
    owner = owned.owner
    verb = "is written by" if owner.is_present else "was taken over by"
    return OwnedError(
        f"thread {owned.agent!r} of checkpoints",
        owner=f"{owner.sender} (life {owner.incarnation})",
        how=f"{verb} {{}}: fork it, or take it over with takeover=True, and that one is refused",
    )


def _opened(
    found: records.Checkpoint, parts: list[records.Part], end: float
) -> Steps[Checkpoint | None]:
    """With its state; None when it was pruned before all its parts were here."""
    here = {part.name: parting.unpack(part) for part in parts}
    while True:
        names = [n for piece in found.pieces for n in piece.parts if n not in here]
        if not names:
            break
        ask = checkpoints.GetParts(list(dict.fromkeys(names)))
        reply = yield Ask("checkpoints", ask, (yield from _rest(end)))
        if not reply.parts:
            return None
        here |= {part.name: parting.unpack(part) for part in reply.parts}
    state = parting.assemble(found.state, found.pieces, here)
    pins = tuple(found.pins)
    return Checkpoint(
        found.agent, found.id, found.created_us, state, found.parent, found.size, pins
    )


def _rest(end: float) -> Steps[float]:
    """Seconds that are left."""
    now: float = yield Now()
    return max(0.0, end - now)


def _vanished(agent: str) -> HoldfastError:
    return StorageError(f"checkpoints of {agent!r} are pruned as fast as they are read: try again")
