"""The flight recorder: what an actor has in hand, where its supervisor finds it.

One memory file per life of a child, written by the child before each handler, and read by its
supervisor: while it lives for signs of life, and after its death.  It carries evidence, never
state: who sent the message in hand, its number, and how far each sender's messages had come.
Behind the record faulthandler leaves stacks, when it is told to.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

import msgspec

__all__ = [
    "Beats",
    "FlightRecorder",
    "InHand",
    "Kind",
    "LastLife",
    "Signs",
    "Suspect",
    "create",
    "in_hand",
    "read_signs",
    "read_stacks",
]

SLOT_BYTES: Final = 256  # of one connection: 20 of numbers, the rest names the sender
SLOTS: Final = 1_023  # connections on record; what comes in over more of them leaves no evidence
NAME_BYTES: Final = 64  # of one type of messages
NAMES: Final = 63  # types on record; what comes in more of them has no name
_NAMES_AT: Final = SLOT_BYTES * (SLOTS + 1)
SIZE: Final = _NAMES_AT + NAME_BYTES * (NAMES + 1)  # a page is only allocated when it is written

# What a delivery is, and "batch" for many of them in hand at once.
Kind = Literal["tell", "command", "ask", "joined", "departed", "batch"]
_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_INDEX: Final = {kind: index for index, kind in enumerate(_KINDS)}

# When a process writes signs of life: not at all, as long as it has nothing in hand, or always.
Beats = Literal["never", "idle", "always"]
_BEATS: Final[tuple[Beats, ...]] = get_args(Beats)
_OWN: Final = len(_KINDS)  # in place of a kind: a timer's message, a reply; nobody sent it

# Head: when the message in hand was taken (monotonic seconds, 0.0 when there is none), messages
# taken so far, the slot of its connection, its kind, its number, its type.  Native: each number is
# one store of the processor, so that who reads meanwhile sees the old or the new one.
_HEAD: Final = struct.Struct("@dQIIQI")
_SLOT_AT: Final = 16  # in the head
# The last sign of life (monotonic seconds), and when there are any.
_BEAT: Final = struct.Struct("@d")
_BEAT_AT: Final = 40
_BEATS_AT: Final = 48
_SIGNS_BYTES: Final = 52
# Slot: position of the newest message taken from the connection, the number that its Welcome has
# given it, lengths of the two names.
_SLOT: Final = struct.Struct("<QQHH")
# In the head, too: the highest slot ever taken, so that a reader need not look at all of them.
_HIGHEST: Final = struct.Struct("<I")
_HIGHEST_AT: Final = 64
_POSITION: Final = struct.Struct("<Q")
_AT: Final = struct.Struct("@d")
_NUMBER: Final = struct.Struct("@I")


class InHand(msgspec.Struct, frozen=True, array_like=True):
    """One message: ``number`` is the first of a tell, that of a command, the id of an ask."""

    sender: str
    incarnation: str
    kind: Kind
    number: int


class Suspect(msgspec.Struct, frozen=True, array_like=True):
    """The message in hand at the last death, and how many deaths in a row it was in hand at."""

    message: InHand
    deaths: int
    reason: str  # how its receiver ended


class Signs(msgspec.Struct, frozen=True):
    """How a process is, as its record says it; ``since`` and ``beat`` in monotonic seconds."""

    taken: int = 0  # messages so far, its own included
    since: float = 0.0  # when the one in hand was taken; 0.0 when there is none
    beat: float = 0.0  # the last sign of life
    beats: Beats = "never"
    last_message: str = ""  # the type of the last one that somebody sent
    is_own: bool = False  # what is in hand is a timer's message, or an answer


def create(name: str) -> int:
    """A descriptor of an empty record; the caller closes it."""
    fd = os.memfd_create(f"holdfast:{name}", os.MFD_CLOEXEC)
    os.ftruncate(fd, SIZE)
    return fd


class FlightRecorder:
    """The writing side; every call costs a fraction of a microsecond."""

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, SIZE)
        self._free = list(range(SLOTS, 0, -1))
        self._taken = 0
        self._highest = 0
        self._last_type = 0
        self._types: dict[type, int] = {}  # their places in the table of names

    @classmethod
    def alone(cls, name: str) -> FlightRecorder:
        """One that nobody else reads: that of the root."""
        fd = create(name)
        recorder = cls(fd)
        os.close(fd)  # the map has a copy
        return recorder

    def seat(self, sender: str, incarnation: str, connection: int) -> int:
        """A slot for a connection; 0, which nothing is recorded in, when all are taken."""
        names = sender.encode(), incarnation.encode()
        if not self._free or len(names[0]) + len(names[1]) > SLOT_BYTES - _SLOT.size:
            return 0
        slot = self._free.pop()
        if slot > self._highest:
            self._highest = slot
            _HIGHEST.pack_into(self._map, _HIGHEST_AT, slot)
        at = slot * SLOT_BYTES
        _SLOT.pack_into(self._map, at, 0, connection, len(names[0]), len(names[1]))
        text = names[0] + names[1]
        self._map[at + _SLOT.size : at + _SLOT.size + len(text)] = text
        return slot

    def leave(self, slot: int) -> None:
        """The connection is gone."""
        if slot:
            _SLOT.pack_into(self._map, slot * SLOT_BYTES, 0, 0, 0, 0)
            self._free.append(slot)

    def begin(
        self, now: float, slot: int, kind: Kind, number: int, position: int, type_: type
    ) -> None:
        """A handler starts on the message at ``position`` of its connection, one of ``type_``."""
        self._taken = taken = self._taken + 1
        name = self._types.get(type_)
        if name is None:
            name = self._learn(type_, kind)
        self._last_type = name
        _HEAD.pack_into(self._map, 0, now, taken, slot, _INDEX[kind], number, name)
        if slot and kind != "tell":  # a tell comes again whatever its position was
            _POSITION.pack_into(self._map, slot * SLOT_BYTES, position)

    def begin_own(self, now: float) -> None:
        """A handler starts on what nobody sent: no message is to blame for what comes of it."""
        self._taken = taken = self._taken + 1
        _HEAD.pack_into(self._map, 0, now, taken, 0, _OWN, 0, self._last_type)

    def absolve(self) -> None:
        """The handler goes on, but what it has in hand is not to blame any more."""
        _NUMBER.pack_into(self._map, _SLOT_AT, 0)

    def idle(self) -> None:
        """No handler runs."""
        _AT.pack_into(self._map, 0, 0.0)

    def beat(self, now: float) -> None:
        """A sign of life; from any thread."""
        _BEAT.pack_into(self._map, _BEAT_AT, now)

    def beats(self, when: Beats) -> None:
        """From now on a missing beat means something, or nothing."""
        _NUMBER.pack_into(self._map, _BEATS_AT, _BEATS.index(when))

    def signs(self) -> Signs:
        """What others read here."""
        return _signs_of(self._map[:_SIGNS_BYTES], lambda at: self._map[at : at + NAME_BYTES])

    def _learn(self, type_: type, kind: Kind) -> int:
        """The place of another type; 0 when all are taken."""
        if kind == "joined" or kind == "departed":
            return self._last_type  # the comings and goings of senders have no name
        known = len(self._types)
        if known >= NAMES:
            return 0
        name = type_.__name__.encode()[: NAME_BYTES - 1]
        at = _NAMES_AT + (known + 1) * NAME_BYTES
        self._map[at : at + 1 + len(name)] = bytes([len(name)]) + name
        self._types[type_] = known + 1
        return known + 1

    def close(self) -> None:
        """Let go of the memory; what is recorded stays with whoever has the descriptor."""
        self._map.close()


class LastLife:
    """What the record of an actor's previous life says."""

    def __init__(self, fd: int, *, incarnation: str, suspects: Sequence[Suspect] = ()) -> None:
        """``suspects``: what earlier deaths point at, that of the last death in the end."""
        self.incarnation = incarnation
        self._last = suspects[-1].message if suspects else None
        self._suspects = {suspect.message: suspect for suspect in suspects}
        with mmap.mmap(fd, SIZE, prot=mmap.PROT_READ) as record:
            self._reached = dict(_reached(record))

    @property
    def died_at_work(self) -> bool:
        """Something was in hand, one message or several together."""
        return self._last is not None

    def reached(self, sender: str, incarnation: str) -> tuple[int, int] | None:
        """The number of this sender's last connection, and how far it had come with that.

        None when that is not on record.
        """
        return self._reached.get((sender, incarnation))

    def poison(self, message: InHand, *, max_deliveries: int = 2) -> Suspect | None:
        """The evidence that ``message`` kills its receiver, if it has done so often enough."""
        suspect = self._suspects.get(message)
        return suspect if suspect is not None and suspect.deaths >= max_deliveries else None


def in_hand(fd: int) -> InHand | None:
    """What was in hand when the process of the record died; None when it was idle."""
    with mmap.mmap(fd, SIZE, prot=mmap.PROT_READ) as record:
        since, _taken, slot, kind, number, _type = _HEAD.unpack_from(record, 0)
        if since == 0.0 or not 0 < slot <= SLOTS or kind >= len(_KINDS):
            return None
        sender, incarnation = _names(record, slot)
        return InHand(sender, incarnation, _KINDS[kind], number)


def read_signs(fd: int) -> Signs:
    """How the process of the record is; a system call or two, and nothing of the process."""
    return _signs_of(os.pread(fd, _SIGNS_BYTES, 0), lambda at: os.pread(fd, NAME_BYTES, at))


def read_stacks(fd: int) -> str:
    """What faulthandler has written behind the record."""
    return os.pread(fd, os.fstat(fd).st_size - SIZE, SIZE).decode(errors="replace")


def _signs_of(head: bytes, name_at: Callable[[int], bytes]) -> Signs:
    since, taken, _slot, kind, _number, type_ = _HEAD.unpack_from(head, 0)
    (beat,) = _BEAT.unpack_from(head, _BEAT_AT)
    (beats,) = _NUMBER.unpack_from(head, _BEATS_AT)
    name = b""
    if 0 < type_ <= NAMES:
        entry = name_at(_NAMES_AT + type_ * NAME_BYTES)
        name = entry[1 : 1 + entry[0]]
    return Signs(
        taken=taken,
        since=since,
        beat=beat,
        beats=_BEATS[beats] if beats < len(_BEATS) else "never",
        last_message=name.decode(errors="replace"),
        is_own=kind == _OWN,
    )


def _names(record: mmap.mmap, slot: int) -> tuple[str, str]:
    at = slot * SLOT_BYTES
    _position, _connection, first, second = _SLOT.unpack_from(record, at)
    start = at + _SLOT.size
    middle = start + first
    sender = record[start:middle].decode(errors="replace")
    return sender, record[middle : middle + second].decode(errors="replace")


def _reached(record: mmap.mmap) -> list[tuple[tuple[str, str], tuple[int, int]]]:
    found = []
    (highest,) = _HIGHEST.unpack_from(record, _HIGHEST_AT)
    for slot in range(1, min(highest, SLOTS) + 1):
        position, connection, first, _second = _SLOT.unpack_from(record, slot * SLOT_BYTES)
        if first:
            found.append((_names(record, slot), (connection, position)))
    return found
