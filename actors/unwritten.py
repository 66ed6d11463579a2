"""Changes to sessions that are not known to be committed: waiting, or on their way.

A plain data structure; the sessions actor owns one, and loses it with its process: at most what
came within the last second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Final

import msgspec

from holdfast.actors.session_lifetimes import use_of
from holdfast.storage.records import Event, Origin
from holdfast.storage.session_records import Session, SessionItem, StoreSessions

__all__ = ["BATCH", "Batch", "Pending", "Unwritten", "store_of", "utf8_size"]

BATCH: Final = 1_000  # sessions in one transaction: some 10 ms of work for the writer
BATCH_BYTES: Final = 2 * 1024 * 1024  # then it is full: a quarter of the bound on a frame
LARGE: Final = 1024 * 1024  # bytes that are not made to wait any longer


class Pending(msgspec.Struct, eq=False):
    """The newest state of one session; None: it has ended.

    ``with_data`` says that more has changed than its use.  ``items`` are to be added to it, and
    ``events`` tell of it: of ends, in the transaction that deletes what has ended.
    """

    session: Session | None
    with_data: bool = True
    items: list[SessionItem] = []
    events: list[Event] = []

    def over(self, earlier: Pending | None) -> Pending:
        """This state, with what it owes to the one before it; that one may be changed."""
        if earlier is None:
            return self
        earlier.events += self.events
        if not self.continues(earlier):
            return Pending(self.session, self.with_data, self.items, earlier.events)
        earlier.items += self.items
        with_data = self.with_data or earlier.with_data
        return Pending(self.session, with_data, earlier.items, earlier.events)

    def continues(self, earlier: Pending) -> bool:
        """Whether both are of one life: items of a session that has ended are of no use."""
        mine, before = self.session, earlier.session
        return mine is not None and before is not None and mine.created_us == before.created_us

    @property
    def size(self) -> int:
        """Its bytes on the way, nearly."""
        data = utf8_size(self.session.data) if self.session and self.with_data else 0
        return data + sum([utf8_size(item.data) for item in self.items])

    def split(self) -> tuple[Pending, Pending | None]:
        """What one frame takes of it, and the items that go next."""
        size = 0
        for index, item in enumerate(self.items):
            size += utf8_size(item.data)
            if size > BATCH_BYTES and index:
                first = Pending(self.session, self.with_data, self.items[:index], self.events)
                return first, Pending(self.session, False, self.items[index:])
        return self, None

    def copy(self) -> Pending:
        """Another one whose lists are its own."""
        return Pending(self.session, self.with_data, [*self.items], [*self.events])


Batch = dict[str, Pending]  # changes that travel together, by id


class Unwritten:
    """The newest change of each session."""

    def __init__(self) -> None:
        self._waiting: Batch = {}
        self._sent: Batch = {}  # the newest of each that is on its way
        self._keys: set[tuple[str, str]] = set()  # of items in here: session, key
        self._added = 0  # bytes, since everything was taken last
        self.has_ends = False  # ends wait to be told

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def __contains__(self, id: str) -> bool:
        return id in self._waiting or id in self._sent

    @property
    def is_due(self) -> bool:
        """Something waits."""
        return bool(self._waiting)

    @property
    def is_large(self) -> bool:
        """So much waits that it should not."""
        return self._added > LARGE or len(self._waiting) >= BATCH

    def get(self, id: str) -> Session | None:
        """The newest state of a session that is in here; None: it has ended."""
        pending = self._waiting.get(id) or self._sent[id]
        return pending.session

    def all(self) -> Iterator[tuple[str, Pending]]:
        """All that is in here, by id: what is on its way, then what waits."""
        return chain(self._sent.items(), self._waiting.items())

    def items_of(self, id: str) -> list[SessionItem]:
        """All items of it that are in here."""
        both = (self._sent.get(id), self._waiting.get(id))
        return [item for pending in both if pending is not None for item in pending.items]

    def has_key(self, id: str, key: str) -> bool:
        """Whether an item of that key is in here."""
        return (id, key) in self._keys

    def add(self, id: str, pending: Pending) -> None:
        """A change that may wait."""
        self._note(pending)
        self._added += pending.size
        self.has_ends = self.has_ends or bool(pending.events)
        self._waiting[id] = pending.over(self._waiting.get(id))

    def take(self) -> Batch:
        """What goes next; oldest changes first."""
        batch: Batch = {}
        size = 0
        # A snapshot: to look for the first of a dict again and again passes all that were taken.
        for id in list(islice(self._waiting, BATCH)):
            batch[id], rest = self._waiting.pop(id).split()
            size += batch[id].size
            if rest is not None:
                self._waiting = {id: rest} | self._waiting
            if size >= BATCH_BYTES or rest is not None:
                break
        if not self._waiting:
            self._added, self.has_ends = 0, False
        self._sent.update(batch)
        return batch

    def overtake(self, changes: Mapping[str, Pending]) -> tuple[Batch, Batch]:
        """Changes that do not wait: what goes now, and what of it had waited.

        They carry what is not known to be committed: should that fail, they stand alone.
        """
        had_waited = {id: self._waiting.pop(id) for id in changes if id in self._waiting}
        now = {}
        for id, pending in changes.items():
            self._note(pending)
            waited = had_waited.get(id)
            merged = pending.over(waited.copy() if waited is not None else None)
            sent = self._sent.get(id)
            if sent is not None and sent.with_data and merged.continues(sent):
                merged.with_data = True
            now[id] = merged
        self._sent.update(now)
        return now, had_waited

    def written(self, batch: Batch) -> None:
        """The batch is committed."""
        for id, pending in batch.items():
            self._leave(id, pending)
            self._keys.difference_update((i.session, i.key) for i in pending.items if i.key)

    def failed(self, batch: Batch) -> None:
        """The batch is not stored: it waits again, unless it changed meanwhile."""
        for id, pending in batch.items():
            self._leave(id, pending)
            newer = self._waiting.get(id)
            if newer is None and id in self._sent:
                # What is on its way carries the data; the items and the events it does not.
                newer = Pending(self._sent[id].session, with_data=False)
            self._waiting[id] = pending if newer is None else newer.over(pending)

    def take_back(self, sent: Batch, had_waited: Batch) -> list[SessionItem]:
        """An overtaking batch is refused: only what had waited before it waits again.

        The items that were added on top of it since, which rest on nothing now.
        """
        self.written(sent)
        orphans: list[SessionItem] = []
        for id in sent:
            newer = self._waiting.get(id)
            if newer is not None and newer.session is not None and not newer.with_data:
                orphans += self._waiting.pop(id).items
        for pending in had_waited.values():
            self._note(pending)
        self.failed(had_waited)
        return orphans

    def _leave(self, id: str, pending: Pending) -> None:
        if self._sent.get(id) is pending:
            del self._sent[id]

    def _note(self, pending: Pending) -> None:
        self._keys.update((item.session, item.key) for item in pending.items if item.key)


def utf8_size(text: str) -> int:
    """Its bytes as UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def store_of(batch: Batch, origin: Origin | None = None, answer: str = "") -> StoreSessions:
    """What the writer is asked for a batch."""
    store = StoreSessions(origin, [], [], [], answer, [], [])
    for id, pending in batch.items():
        session = pending.session
        if session is None:
            store.delete.append(id)
        elif pending.with_data:
            store.put.append(session)
        else:
            store.use.append(use_of(session))
        store.items.extend(pending.items)
        store.events.extend(pending.events)
    return store
