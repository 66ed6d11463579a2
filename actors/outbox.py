"""What a sender has not had acknowledged: queued, sent, or offered and not packed yet.

A plain data structure; a link owns one, and it is lost with the sender's process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Final, Literal, get_args

import msgspec

from holdfast.actors.entry import Entry, Kind, OnReply
from holdfast.errors import InvalidInputError

__all__ = ["Omit", "Outbox", "OutboxLimits", "Pack", "Policy", "limited"]

PACK: Final = 512  # items in one frame; beyond it a larger frame saves nothing measurable
PACK_BYTES: Final = 256 * 1024  # bytes of items in one frame: far below any legal max_frame
OMITTED_BYTES: Final = 4 * PACK_BYTES  # of what is under way to be kept in memory only

# What a full outbox means.  "block": wait for room.  "fail": OutboxFullError at once.
# "ring_only": an event is counted as lost and shown to the log's memory; others wait for room.
Policy = Literal["block", "fail", "ring_only"]

Pack = Callable[[list[bytes]], bytes]
Omit = Callable[[int, list[bytes]], bytes]


class OutboxLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may wait for its acknowledgement, and what happens to what comes then.

    ``messages`` is by default a minute of outage at 1,500 a second, ``timeout`` in seconds.
    """

    messages: int = 100_000
    bytes: int = 64 * 1024 * 1024
    policy: Policy = "block"
    timeout: float = 30.0


def limited(
    messages: int | None, bytes: int | None, policy: Policy, timeout: float
) -> OutboxLimits:
    """Checked limits; None for the default.  Raises InvalidInputError."""
    default = OutboxLimits()
    messages = default.messages if messages is None else messages
    bytes = default.bytes if bytes is None else bytes
    for name, value in (("outbox_messages", messages), ("outbox_bytes", bytes)):
        if value < 1:
            raise InvalidInputError(f"{name} = {value}: expected a whole number >= 1")
    if policy not in get_args(Policy):
        raise InvalidInputError(f"outbox_policy = {policy!r}: expected block, fail or ring_only")
    if not timeout >= 0:
        raise InvalidInputError(f"outbox_timeout = {timeout}: expected seconds >= 0")
    return OutboxLimits(messages=messages, bytes=bytes, policy=policy, timeout=timeout)


class _Omission:
    """Items without room, behind everything else: how many, and the last of them."""

    __slots__ = ("count", "items", "size")

    def __init__(self) -> None:
        self.count = 0
        self.items: deque[bytes] = deque()
        self.size = 0

    def add(self, item: bytes) -> None:
        self.count += 1
        self.items.append(item)
        self.size += len(item)
        while len(self.items) > PACK or self.size > PACK_BYTES:
            self.size -= len(self.items.popleft())


class Outbox:
    """Messages in the order they were given, numbered as they go.

    ``pack`` turns a list of offered items into the one encoded message that carries them;
    ``omit`` makes the one that says how many had no room, and brings the last of them.
    """

    def __init__(
        self, pack: Pack | None, omit: Omit | None = None, limits: OutboxLimits | None = None
    ) -> None:
        self.limits = limits or OutboxLimits()
        self.queue: deque[Entry] = deque()  # not sent on this connection, in order
        self.sent: deque[Entry] = deque()  # numbered entries sent and not acknowledged
        self.accepted = 0  # messages ever queued that need an acknowledgement
        self.pending = 0  # those of them not acknowledged
        self.pending_bytes = 0
        # The bound on what is not acknowledged is reached: wait before queueing more.
        self.is_full = False
        self._pack = pack
        self._omit = omit
        self._open: Entry | None = None  # the newest entry, which its like may still join
        self.omission = _Omission()  # not packed
        self._omissions: dict[int, tuple[int, int]] = {}  # packed: count and bytes, by number
        # The limits, and what is omitted on top of them.
        self._most, self._most_bytes = self.limits.messages, self.limits.bytes
        self._next_number = 1
        self._next_order = 0
        self._acked = 0  # the highest mark; tells behind a command without its result wait for it

    @property
    def is_empty(self) -> bool:
        """Nothing waits for anything."""
        return not (self.queue or self.sent or self.omission.count)

    @property
    def can_omit(self) -> bool:
        """What has no room may be given to ``omit``."""
        return self.limits.policy == "ring_only" and self._omit is not None

    def join(self, kind: Literal["tell", "offer"], item: bytes) -> bool:
        """Queue a tell, or an item to be packed; neighbours travel in one frame.

        Whether a frame is full now that could be sent.
        """
        entry, size = self._open, len(item)
        is_new = False
        if (
            entry is None
            or entry.kind != kind
            or entry.count >= PACK
            or entry.size + size > PACK_BYTES
        ):
            if self.omission.count:
                self._pack_omission()
            is_new = entry is not None
            entry = self._open = self._append(Entry(kind, self._next_number, 0))
        entry.bodies.append(item)
        entry.count += 1
        entry.size += size
        self._next_number += 1
        self.accepted += 1
        self.pending += 1
        self.pending_bytes += size
        if self.pending >= self._most or self.pending_bytes >= self._most_bytes:
            self.is_full = True
        return is_new

    def omit(self, item: bytes) -> None:
        """Take the number of an item that has no room; it will not be committed."""
        self._open = None
        self.omission.add(item)
        self._most += 1
        self.accepted += 1
        self.pending += 1

    def add(
        self,
        kind: Literal["command", "ask", "stop"],
        body: bytes,
        on_reply: OnReply | None,
        *,
        idempotent: bool,
    ) -> Entry:
        """Queue a message behind everything before; its entry."""
        if self.omission.count:
            self._pack_omission()
        self._open = None
        entry = Entry(kind, 0, 0, body=body, count=1, on_reply=on_reply, idempotent=idempotent)
        self._append(entry)
        if kind == "command":
            entry.first = self._next_number
            self._next_number += 1
            self.accepted += 1
            self.pending += 1
            self.pending_bytes += entry.size
            self.is_full = self.pending >= self._most or self.pending_bytes >= self._most_bytes
        else:
            entry.first = entry.order
        return entry

    def next(self, room: int) -> Entry | None:
        """The entry to send now, taken from the queue; of many tells at most ``room``."""
        if not self.queue:
            if not self.omission.count:
                return None
            self._pack_omission()
        entry = self.queue[0]
        # An offer may overdraw: a frame is what a sender of items may have under way at the least.
        if entry.kind == "tell" and entry.count > room:
            entry = entry.cut(room)
        else:
            self.queue.popleft()
            if entry is self._open:
                self._open = None
        if entry.kind == "offer" and entry.bodies:
            assert self._pack is not None
            entry.body, entry.bodies = self._pack(entry.bodies), []
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

    def put_back(self, asks: Iterable[Entry], unsent: Collection[Entry]) -> None:
        """The connection is gone: what was sent on it, and ``asks``, wait again, in order.

        ``unsent`` are those that have not left this process.
        """
        again = [entry for entry in self.sent if not entry.is_finished]
        again += asks
        for entry in again:
            entry.was_sent = entry.was_sent or entry not in unsent
        self.sent.clear()
        self.requeue(again)

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Put entries where they stood in the order."""
        self.queue = deque(sorted((*entries, *self.queue), key=lambda entry: entry.order))

    def trim(self, mark: int) -> None:
        """Tells up to ``mark`` are acknowledged."""
        self._acked = mark = max(mark, self._acked)
        while self.sent:
            entry = self.sent[0]
            if entry.is_finished:
                self.sent.popleft()
            elif entry.kind == "command" or entry.first > mark:
                break
            elif entry.last <= mark:
                self._settle(self.sent.popleft())
            else:
                self._shorten(entry, mark)
                break

    def trim_queue(self, mark: int) -> None:
        """As ``trim``, for what waits to be sent again."""
        kept: deque[Entry] = deque()
        for entry in self.queue:
            if entry.is_numbered and entry.kind != "command" and entry.first <= mark:
                if entry.last <= mark:
                    self._settle(entry)
                    continue
                self._shorten(entry, mark)
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

    def shut(self) -> None:
        """Nothing will be sent any more, and there is no room."""
        self.sent.clear()
        self.queue.clear()
        self._open = None
        self.is_full = True

    def _append(self, entry: Entry) -> Entry:
        self._next_order += 1
        entry.order = self._next_order
        self.queue.append(entry)
        return entry

    def _pack_omission(self) -> None:
        assert self._omit is not None
        omission, self.omission = self.omission, _Omission()
        omitted_bytes = self._most_bytes - self.limits.bytes
        has_room = omitted_bytes + omission.size <= OMITTED_BYTES
        items = list(omission.items) if has_room else []
        body = self._omit(omission.count, items)
        entry = Entry("offer", self._next_number, 0, body=body, count=omission.count)
        self._append(entry)
        self._next_number += omission.count
        self._omissions[entry.first] = omission.count, entry.size
        self._most_bytes += entry.size
        self.pending_bytes += entry.size

    def _shorten(self, entry: Entry, mark: int) -> None:
        """Its first tells are acknowledged; they will not be sent again."""
        if entry.bodies:
            self._settle(entry.cut(mark + 1 - entry.first))

    def _settle(self, entry: Entry) -> None:
        omitted, size = self._omissions.pop(entry.first, (0, 0))
        self._most -= omitted
        self._most_bytes -= size
        self.pending -= entry.count
        self.pending_bytes -= entry.size
        self.is_full = self.pending >= self._most or self.pending_bytes >= self._most_bytes
