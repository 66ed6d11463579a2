"""The flight recorder: what an actor has in hand, where its supervisor finds it after a crash.

One memory file per life of a child, written by the child before each handler and read by others
only after its death.  It carries evidence, never state: who
sent the message in hand, its number, and how far each sender's messages had come.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

__all__ = ["FlightRecorder", "InHand", "Kind", "LastLife", "Suspect", "create", "in_hand"]

SLOT_BYTES: Final = 256  # of one connection: 16 of numbers, the rest names the sender
SLOTS: Final = 1_023  # connections on record; what comes in over more of them leaves no evidence
SIZE: Final = SLOT_BYTES * (SLOTS + 1)  # a page is only allocated when it is written

# What a delivery is, and "batch" for many of them in hand at once.
Kind = Literal["tell", "command", "ask", "joined", "departed", "batch"]
_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_INDEX: Final = {kind: index for index, kind in enumerate(_KINDS)}

# Head: when the message in hand was taken (monotonic seconds, 0.0 when there is none), messages
# taken so far, the slot of its connection, its kind, its number.
_HEAD: Final = struct.Struct("<dQIIQ")
# Slot: position of the newest message taken from the connection, lengths of the two names.
_SLOT: Final = struct.Struct("<QHH")
# In the head, too: the highest slot ever taken, so that a reader need not look at all of them.
_HIGHEST: Final = struct.Struct("<I")
_HIGHEST_AT: Final = 64
_POSITION: Final = struct.Struct("<Q")
_AT: Final = struct.Struct("<d")


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

    def seat(self, sender: str, incarnation: str) -> int:
        """A slot for a connection; 0, which nothing is recorded in, when all are taken."""
        names = sender.encode(), incarnation.encode()
        if not self._free or len(names[0]) + len(names[1]) > SLOT_BYTES - _SLOT.size:
            return 0
        slot = self._free.pop()
        if slot > self._highest:
            self._highest = slot
            _HIGHEST.pack_into(self._map, _HIGHEST_AT, slot)
        at = slot * SLOT_BYTES
        _SLOT.pack_into(self._map, at, 0, len(names[0]), len(names[1]))
        text = names[0] + names[1]
        self._map[at + _SLOT.size : at + _SLOT.size + len(text)] = text
        return slot

    def leave(self, slot: int) -> None:
        """The connection is gone."""
        if slot:
            _SLOT.pack_into(self._map, slot * SLOT_BYTES, 0, 0, 0)
            self._free.append(slot)

    def begin(self, now: float, slot: int, kind: Kind, number: int, position: int) -> None:
        """A handler starts on the message at ``position`` of its connection."""
        self._taken = taken = self._taken + 1
        _HEAD.pack_into(self._map, 0, now, taken, slot, _INDEX[kind], number)
        if slot and kind != "tell":  # a tell comes again whatever its position was
            _POSITION.pack_into(self._map, slot * SLOT_BYTES, position)

    def idle(self) -> None:
        """No handler runs."""
        _AT.pack_into(self._map, 0, 0.0)

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
            self._positions = dict(_positions(record))

    @property
    def died_at_work(self) -> bool:
        """Something was in hand, one message or several together."""
        return self._last is not None

    def position(self, sender: str, incarnation: str) -> int | None:
        """How far it had come with what this sender sent last; None when that is not on record."""
        return self._positions.get((sender, incarnation))

    def poison(self, message: InHand, *, max_deliveries: int = 2) -> Suspect | None:
        """The evidence that ``message`` kills its receiver, if it has done so often enough."""
        suspect = self._suspects.get(message)
        return suspect if suspect is not None and suspect.deaths >= max_deliveries else None


def in_hand(fd: int) -> InHand | None:
    """What was in hand when the process of the record died; None when it was idle."""
    with mmap.mmap(fd, SIZE, prot=mmap.PROT_READ) as record:
        since, _taken, slot, kind, number = _HEAD.unpack_from(record, 0)
        if since == 0.0 or not 0 < slot <= SLOTS or kind >= len(_KINDS):
            return None
        sender, incarnation = _names(record, slot)
        return InHand(sender, incarnation, _KINDS[kind], number)


def _names(record: mmap.mmap, slot: int) -> tuple[str, str]:
    at = slot * SLOT_BYTES
    _position, first, second = _SLOT.unpack_from(record, at)
    start = at + _SLOT.size
    middle = start + first
    sender = record[start:middle].decode(errors="replace")
    return sender, record[middle : middle + second].decode(errors="replace")


def _positions(record: mmap.mmap) -> list[tuple[tuple[str, str], int]]:
    found = []
    (highest,) = _HIGHEST.unpack_from(record, _HIGHEST_AT)
    for slot in range(1, min(highest, SLOTS) + 1):
        position, first, _second = _SLOT.unpack_from(record, slot * SLOT_BYTES)
        if first:
            found.append((_names(record, slot), position))
    return found
