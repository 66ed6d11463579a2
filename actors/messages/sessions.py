"""The vocabulary of the sessions actor.  That of its cache is in ``messages.cache``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from holdfast.actors.messages import barrier, cache
from holdfast.storage.session_records import Session, StoredItem

__all__ = [
    "Append",
    "Appended",
    "Claim",
    "Claimed",
    "Delete",
    "Deleted",
    "Durability",
    "Get",
    "GetItems",
    "GetMany",
    "GiveUp",
    "Hold",
    "HoldIs",
    "ItemsAre",
    "List",
    "Load",
    "LoadIsYours",
    "Put",
    "PutMany",
    "Reads",
    "Release",
    "Renew",
    "Renewed",
    "Reply",
    "Request",
    "SessionIs",
    "SessionsAre",
    "SessionsStats",
    "Stats",
    "Touch",
    "Unhold",
    "Versioned",
    "VersionsAre",
    "decode_reply",
    "decode_request",
]

# "memory": in the actor's memory, on disk within a second.  "committed": COMMIT has returned.
Durability = Literal["memory", "committed"]


class Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """Create or replace a session.  Reply: Versioned, or Conflict, or OwnedError.

    ``data`` is JSON text; ``ttl`` and ``max_age`` are seconds, None for the configured ttl and
    for no maximum.  ``expected_version`` "" means that there must be none.  ``owner`` claims it.
    With the ``ticket`` of a load nothing is changed when there is one: its version is the answer.
    """

    id: str
    data: str
    ttl: float | None = None
    max_age: float | None = None
    expected_version: str | None = None
    durability: Durability = "memory"
    owner: str | None = None
    ticket: str = ""


class PutMany(msgspec.Struct, frozen=True, array_like=True, tag="put_many"):
    """Carry out all of the puts, or none: one transaction.  Reply: VersionsAre.

    The durability is that of the first.
    """

    puts: list[Put]


class Get(msgspec.Struct, frozen=True, array_like=True, tag="get"):
    """Read a session.  Reply: SessionIs."""

    id: str


class GetMany(msgspec.Struct, frozen=True, array_like=True, tag="get_many"):
    """Read sessions.  Reply: SessionsAre, perhaps of the first of them only."""

    ids: list[str]


class Touch(msgspec.Struct, frozen=True, array_like=True, tag="touch"):
    """Start its time to live anew.  Reply: SessionIs, with None when there is none."""

    id: str


class Delete(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    """End a session, with the reason "closed".  Reply: Deleted, after COMMIT; or OwnedError."""

    id: str
    owner: str | None = None


class Append(msgspec.Struct, frozen=True, array_like=True, tag="append"):
    """Add an item, JSON text, and touch the session.  Reply: Appended.

    An item whose ``key`` is there is not added again: the answer is the number of the first.
    Fails with NoSessionError, OwnedError.
    """

    id: str
    item: str
    key: str | None = None
    owner: str | None = None
    durability: Durability = "committed"


class GetItems(msgspec.Struct, frozen=True, array_like=True, tag="get_items"):
    """Committed items with numbers above ``after``, in order; or newest first.

    Reply: ItemsAre.  What was added before is committed first.
    """

    id: str
    after: int = 0
    limit: int = 100
    reverse: bool = False


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="claim"):
    """Make ``owner`` the owner; ``steal`` it if need be.  Reply: Claimed, after COMMIT.

    Fails with NoSessionError, OwnedError.
    """

    id: str
    owner: str
    steal: bool = False


class Release(msgspec.Struct, frozen=True, array_like=True, tag="release"):
    """``owner`` lets go.  Reply: Claimed, after COMMIT; or OwnedError."""

    id: str
    owner: str


class Hold(msgspec.Struct, frozen=True, array_like=True, tag="hold"):
    """``holder`` has it in use for ``lease`` seconds from now: it does not become idle.

    Reply: HoldIs, after COMMIT when the hold is new.  Fails with NoSessionError.
    """

    id: str
    holder: str
    lease: float


class Unhold(msgspec.Struct, frozen=True, array_like=True, tag="unhold"):
    """``holder`` has done with it: its time to live starts anew.  Reply: HoldIs."""

    id: str
    holder: str


class Load(msgspec.Struct, frozen=True, array_like=True, tag="load"):
    """The session, or the task to make it, or the one that somebody else is making now.

    Reply: SessionIs, or LoadIsYours.  ``timeout`` seconds from now nobody waits any more.
    """

    id: str
    timeout: float


class Renew(msgspec.Struct, frozen=True, array_like=True, tag="renew"):
    """The load is still being worked on.  Reply: Renewed."""

    ticket: str


class GiveUp(msgspec.Struct, frozen=True, array_like=True, tag="give_up"):
    """The load has failed: let the next one try.  Reply: Renewed."""

    ticket: str


class List(msgspec.Struct, frozen=True, array_like=True, tag="list"):
    """Sessions that live, in order of their ids after ``after``.  Reply: SessionsAre, no data.

    What was put before is committed first.
    """

    after: str = ""
    prefix: str = ""
    owner: str | None = None
    limit: int = 100


class Stats(msgspec.Struct, frozen=True, array_like=True, tag="stats"):
    """How is the memory?  Reply: SessionsStats."""


class Versioned(msgspec.Struct, frozen=True, array_like=True, tag="versioned"):
    """The session is kept, at the durability asked for, under this version."""

    version: str


class VersionsAre(msgspec.Struct, frozen=True, array_like=True, tag="versions"):
    """The sessions are kept, at the durability asked for, under these versions."""

    versions: list[str]


class SessionIs(msgspec.Struct, frozen=True, array_like=True, tag="session"):
    """The session, or None where there is none that lives."""

    session: Session | None


class SessionsAre(msgspec.Struct, frozen=True, array_like=True, tag="sessions"):
    """As many of what was asked for as one reply holds; ``more`` says that there are others."""

    sessions: list[Session | None]
    more: bool = False


class Deleted(msgspec.Struct, frozen=True, array_like=True, tag="deleted"):
    """It is gone; ``existed`` says whether it lived."""

    existed: bool


class Appended(msgspec.Struct, frozen=True, array_like=True, tag="appended"):
    """The item is kept, at the durability asked for, under this number; or was ``repeated``."""

    number: int
    repeated: bool = False


class ItemsAre(msgspec.Struct, frozen=True, array_like=True, tag="items"):
    """As many items as one reply holds; ``more`` says that there are others."""

    items: list[StoredItem]
    more: bool = False


class Claimed(msgspec.Struct, frozen=True, array_like=True, tag="claimed"):
    """Whose it is now, committed."""

    owner: str | None


class HoldIs(msgspec.Struct, frozen=True, array_like=True, tag="hold_is"):
    """Until when the session lives now (microseconds); 0 when there is none."""

    expires_us: int


class LoadIsYours(msgspec.Struct, frozen=True, array_like=True, tag="load_is_yours"):
    """Make it and put it.  Renew ``ticket`` more often than every ``lease`` seconds meanwhile."""

    ticket: str
    lease: float


class Renewed(msgspec.Struct, frozen=True, array_like=True, tag="renewed"):
    """Whether the load was still this one's."""

    valid: bool


class Reads(msgspec.Struct, frozen=True, array_like=True):
    """What was asked for and in memory, or not, since the start; the last two of the other cache.

    A miss is looked for in the database, or in front of it: that there is none is a miss too.
    """

    hits: int = 0
    misses: int = 0
    cache_hits: int = 0
    cache_misses: int = 0


class SessionsStats(msgspec.Struct, frozen=True, array_like=True, tag="sessions_stats"):
    """Sessions in memory, of how many it holds, and changes not yet written; bytes likewise.

    ``stored`` and ``stored_bytes`` are in the database; ``cache_entries`` in the other cache;
    ``loads`` are being made, and ``waiting`` wait for one; ``damaged`` counts attempts to read
    what cannot be read.  ``front`` is what stands before the database ("" for nothing),
    ``front_problem`` why it is not there ("" when it is), ``front_failures`` how often it was lost
    or not reached, ``recovered`` how many sessions were in it and not in the database at the start.
    """

    cached: int
    maxsize: int
    unwritten: int
    bytes: int = 0
    max_bytes: int = 0
    stored: int = 0
    stored_bytes: int = 0
    cache_entries: int = 0
    cache_bytes: int = 0
    loads: int = 0
    waiting: int = 0
    damaged: int = 0
    front: str = ""
    front_problem: str = ""
    front_failures: int = 0
    recovered: int = 0
    reads: Reads = Reads()


Change = Put | Touch | Delete | Append | Claim | Release | Hold | Unhold
Request = (
    Change
    | PutMany
    | Get
    | GetMany
    | GetItems
    | Load
    | Renew
    | GiveUp
    | List
    | Stats
    | cache.CachePut
    | cache.CacheGet
    | cache.CacheDelete
    | cache.CacheLoad
    | barrier.Collect
    | barrier.Restore
)
Reply = (
    Versioned
    | VersionsAre
    | SessionIs
    | SessionsAre
    | Deleted
    | Appended
    | ItemsAre
    | Claimed
    | HoldIs
    | LoadIsYours
    | Renewed
    | SessionsStats
    | cache.CachedIs
    | cache.CacheDeleted
    | barrier.Collected
    | barrier.Restored
)

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode
