"""What a sender has not had acknowledged: queued, sent, or offered and not packed yet.

A plain data structure; a link owns one, and it is lost with the sender's process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, Literal, get_args

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

Pack = Callable[[list[Any]], object]
Omit = Callable[[int, list[Any]], object]

_encode = msgspec.msgpack.Encoder().encode


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
        self.items: deque[tuple[Any, int]] = deque()
        self.size = 0

    def add(self, item: Any, size: int) -> None:
        self.count += 1
        self.items.append((item, size))
        self.size += size
        while len(self.items) > PACK or self.size > PACK_BYTES:
            self.size -= self.items.popleft()[1]


class Outbox:
    """Messages in the order they were given, numbered as they go.

    ``pack`` turns a list of offered items into the one message that carries them; ``omit`` makes
    the message that says how many had no room, and brings the last of them.
    """

    def __init__(
        self, pack: Pack | None, omit: Omit | None = None, limits: OutboxLimits | None = None
    ) -> None:
        self.limits = limits or OutboxLimits()
        self.queue: deque[Entry] = deque()  # not sent on this connection, in order
        self.sent: deque[Entry] = deque()  # tells and commands sent and not acknowledged
        self.accepted = 0  # messages ever queued that need an acknowledgement
        self.pending = 0  # those of them not acknowledged
        self.pending_bytes = 0
        self._pack = pack
        self._omit = omit
        self._omission = _Omission()  # not packed
        self._omissions: dict[int, tuple[int, int]] = {}  # packed: count and bytes, by number
        self._omitted = 0  # messages in either, which take no room
        self._omitted_bytes = 0  # of the packed ones
        self._loose: deque[tuple[Any, int]] = deque()  # offered, not packed: (item, bytes)
        self._next_number = 1
        self._next_order = 0
        self._mark = 0  # acknowledged; a tell behind a command without its result waits for that

    @property
    def is_empty(self) -> bool:
        """Nothing waits for anything."""
        return not (self.queue or self.sent or self._loose or self._omission.count)

    @property
    def is_full(self) -> bool:
        """The bound on what is not acknowledged is reached: wait before queueing more."""
        held, held_bytes = self.pending - self._omitted, self.pending_bytes - self._omitted_bytes
        return held >= self.limits.messages or held_bytes >= self.limits.bytes

    @property
    def can_omit(self) -> bool:
        """What has no room may be given to ``omit``."""
        return self.limits.policy == "ring_only" and self._omit is not None

    def offer(self, item: Any, size: int) -> None:
        """Queue one item of about ``size`` bytes; neighbours travel in one frame."""
        if self._omission.count:
            self._pack_all()
        self._loose.append((item, size))
        self._count(1, size)

    def omit(self, item: Any, size: int) -> None:
        """Take the number of an item that has no room; it will not be committed."""
        self._omission.add(item, size)
        self._omitted += 1
        self._count(1, 0)

    def add(self, kind: Kind, body: bytes, on_reply: OnReply | None, *, idempotent: bool) -> Entry:
        """Queue a message behind everything offered before; its entry."""
        self._pack_all()
        entry = self._append(kind, body, on_reply, 1, idempotent=idempotent)
        if entry.is_numbered:
            self._count(1, len(body))
        return entry

    def next(self) -> Entry | None:
        """The message to send now, taken from the queue."""
        if not self.queue:
            if self._loose:
                self._pack_loose()
            elif self._omission.count:
                self._pack_omission()
            else:
                return None
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

    def put_back(self, asks: Iterable[Entry], unsent: Collection[int]) -> None:
        """The connection is gone: what was sent on it, and ``asks``, wait again, in order.

        ``unsent`` are the orders of those that have not left this process.
        """
        again = [entry for entry in self.sent if not entry.is_finished]
        again += asks
        for entry in again:
            entry.was_sent = entry.was_sent or entry.order not in unsent
        self.sent.clear()
        self.requeue(again)

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Put entries where they stood in the order."""
        self.queue = deque(sorted((*entries, *self.queue), key=lambda entry: entry.order))

    def trim(self, mark: int) -> None:
        """Tells up to ``mark`` are acknowledged."""
        self._mark = max(self._mark, mark)
        while self.sent:
            entry = self.sent[0]
            if entry.kind == "tell" and entry.last <= self._mark:
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

    def _append(
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
        self.queue.append(entry)
        return entry

    def _pack_all(self) -> None:
        while self._loose:
            self._pack_loose()
        if self._omission.count:
            self._pack_omission()

    def _pack_omission(self) -> None:
        assert self._omit is not None
        omission, self._omission = self._omission, _Omission()
        has_room = self._omitted_bytes + omission.size <= OMITTED_BYTES
        items = [item for item, _ in omission.items] if has_room else []
        body = _encode(self._omit(omission.count, items))
        entry = self._append("tell", body, None, omission.count)
        self._omissions[entry.first] = omission.count, len(body)
        self._omitted_bytes += len(body)
        self.pending_bytes += len(body)

    def _pack_loose(self) -> None:
        assert self._pack is not None
        items: list[Any] = []
        size = 0
        while self._loose and len(items) < PACK and size < PACK_BYTES:
            item, item_size = self._loose.popleft()
            items.append(item)
            size += item_size
        body = _encode(self._pack(items))
        # They were counted when they came: whoever reads the counts never sees them go down.
        self._append("tell", body, None, len(items))
        self.pending_bytes += len(body) - size

    def _count(self, messages: int, size: int) -> None:
        self.accepted += messages
        self.pending += messages
        self.pending_bytes += size

    def _settle(self, entry: Entry) -> None:
        omitted, size = self._omissions.pop(entry.first, (0, 0))
        self._omitted -= omitted
        self._omitted_bytes -= size
        self.pending -= entry.count
        self.pending_bytes -= len(entry.body)
