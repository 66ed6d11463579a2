"""What a sender has not had acknowledged: queued, sent, or offered and not packed yet.

A plain data structure; a link owns one, and it is lost with the sender's process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from holdfast.actors.entry import Entry, Kind, OnReply

__all__ = ["Outbox"]

PACK: Final = 512  # items in one frame; beyond it a larger frame saves nothing measurable
PACK_BYTES: Final = 256 * 1024  # bytes of items in one frame: far below any legal max_frame
OUTBOX_MESSAGES: Final = 100_000  # not acknowledged: a minute of outage at 1,500 a second
OUTBOX_BYTES: Final = 64 * 1024 * 1024  # of them

_encode = msgspec.msgpack.Encoder().encode


class Outbox:
    """Messages in the order they were given, numbered as they go.

    ``pack`` turns a list of offered items into the one message that carries them.
    """

    def __init__(self, pack: Callable[[list[Any]], object] | None) -> None:
        self.queue: deque[Entry] = deque()  # not sent on this connection, in order
        self.sent: deque[Entry] = deque()  # tells and commands sent and not acknowledged
        self.accepted = 0  # messages ever queued that need an acknowledgement
        self.pending = 0  # those of them not acknowledged
        self.pending_bytes = 0
        self._pack = pack
        self._loose: deque[tuple[Any, int]] = deque()  # offered, not packed: (item, bytes)
        self._next_number = 1
        self._next_order = 0

    @property
    def is_empty(self) -> bool:
        """Nothing waits for anything."""
        return not (self.queue or self.sent or self._loose)

    @property
    def is_full(self) -> bool:
        """The bound on what is not acknowledged is reached: wait before queueing more."""
        return self.pending >= OUTBOX_MESSAGES or self.pending_bytes >= OUTBOX_BYTES

    def offer(self, item: Any, size: int) -> None:
        """Queue one item of about ``size`` bytes; neighbours travel in one frame."""
        self._loose.append((item, size))
        self._count(1, size)

    def add(self, kind: Kind, body: bytes, on_reply: OnReply | None, *, idempotent: bool) -> Entry:
        """Queue a message behind everything offered before; its entry."""
        while self._loose:
            self._pack_loose()
        return self._add(kind, body, on_reply, 1, idempotent=idempotent)

    def next(self) -> Entry | None:
        """The message to send now, taken from the queue."""
        if not self.queue:
            if not self._loose or self._pack is None:
                return None
            self._pack_loose()
        entry = self.queue.popleft()
        if entry.is_numbered:
            self.sent.append(entry)
        return entry

    def first_number(self) -> tuple[int, bool]:
        """The lowest number that is to be sent (again), and whether it was sent before."""
        numbered = [entry for entry in (*self.sent, *self.queue) if entry.is_numbered]
        if not numbered:
            return self._next_number, False
        first = min(numbered, key=lambda entry: entry.first)
        return first.first, first.was_sent or bool(self.sent)

    @property
    def answered_up_to(self) -> int:
        """Results of all commands up to this number were received."""
        return self.sent[0].first - 1 if self.sent else self._next_number - 1

    def put_back(self, asks: Iterable[Entry]) -> None:
        """The connection is gone: what was sent on it, and ``asks``, wait again, in order."""
        again = [entry for entry in self.sent if not entry.is_finished]
        again += asks
        for entry in again:
            entry.was_sent = True
        self.sent.clear()
        self.requeue(again)

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Put entries where they stood in the order."""
        self.queue = deque(sorted((*entries, *self.queue), key=lambda entry: entry.order))

    def trim(self, mark: int) -> None:
        """Tells up to ``mark`` are acknowledged."""
        while self.sent:
            entry = self.sent[0]
            if entry.kind == "tell" and entry.last <= mark:
                self._settle(self.sent.popleft())
            elif entry.is_finished:
                self.sent.popleft()
            else:
                break

    def trim_queue(self, mark: int) -> None:
        """As ``trim``, for what waits to be sent again."""
        kept: deque[Entry] = deque()
        for entry in self.queue:
            if entry.kind == "tell" and entry.last <= mark:
                self._settle(entry)
            else:
                kept.append(entry)
        self.queue = kept

    def finish(self, number: int) -> OnReply | None:
        """The command ``number`` has its result: who waits for it."""
        for entry in self.sent:
            if entry.kind == "command" and entry.first == number and not entry.is_finished:
                on_reply, entry.on_reply = entry.on_reply, None
                self._settle(entry)
                self.trim(0)
                return on_reply
        return None

    def remove(self, kind: Kind, first: int) -> None:
        """Forget an entry that was not sent."""
        for entry in self.queue:
            if entry.kind == kind and entry.first == first:
                self.queue.remove(entry)
                return

    def _add(
        self,
        kind: Kind,
        body: bytes,
        on_reply: OnReply | None,
        count: int,
        *,
        idempotent: bool = True,
    ) -> Entry:
        self._next_order += 1
        order = self._next_order
        is_numbered = kind in ("tell", "command")
        first = self._next_number if is_numbered else order
        entry = Entry(kind, first, count, body, order, on_reply, idempotent=idempotent)
        if is_numbered:
            self._next_number += count
            self._count(count, len(body))
        self.queue.append(entry)
        return entry

    def _pack_loose(self) -> None:
        assert self._pack is not None
        items: list[Any] = []
        size = 0
        while self._loose and len(items) < PACK and size < PACK_BYTES:
            item, item_size = self._loose.popleft()
            items.append(item)
            size += item_size
        self._count(-len(items), -size)
        self._add("tell", _encode(self._pack(items)), None, len(items))

    def _count(self, messages: int, size: int) -> None:
        self.accepted += messages
        self.pending += messages
        self.pending_bytes += size

    def _settle(self, entry: Entry) -> None:
        self.pending -= entry.count
        self.pending_bytes -= len(entry.body)
